"""The part of a script that makes the models: one small function per family."""

from __future__ import annotations

from reasoner.expert.spec import Facts, Spec

LEAVES = {-2: 4, -1: 8, 0: 31, 1: 63, 2: 127, 3: 255}
DEPTH = {-2: 4, -1: 8, 0: None, 1: None, 2: None, 3: None}
C_VALUES = {-2: 0.02, -1: 0.2, 0: 1.0, 1: 5.0, 2: 20.0, 3: 100.0}
MIN_LEAF = {-2: 40, -1: 20, 0: 3, 1: 2, 2: 1, 3: 1}
NEIGHBOURS = {-2: 60, -1: 30, 0: 15, 1: 7, 2: 4, 3: 2}


def families(spec: Spec) -> list[str]:
    return [spec.family] + ([spec.second] if spec.second else [])


def needs_columns(family: str, spec: Spec, facts: Facts) -> bool:
    """Whether the family needs its columns encoded and scaled first."""
    text = [name for name in facts.text if name not in spec.drop]
    encoded = bool(categorical(spec, facts)) and spec.categories in ("onehot", "target")
    return family in ("linear", "svm", "knn", "extra") or bool(text) or encoded


def categorical(spec: Spec, facts: Facts) -> list[str]:
    return (
        []
        if spec.categories == "frequency"
        else [name for name in facts.categorical if name not in spec.drop]
    )


def models(spec: Spec, facts: Facts) -> str:
    """Definitions of the models and the list MODELS."""
    names = families(spec)
    blocks = [columns(name, spec, facts) for name in names if needs_columns(name, spec, facts)]
    blocks += [definition(name, spec, facts) for name in names]
    if spec.detrend:
        blocks.append(TREND)
    if spec.shift and facts.grid:
        blocks.append(SHIFTED.format(prefix=facts.grid))
    return "\n".join(blocks) + f"\n\n\nMODELS = [{', '.join(names)}]"


def columns(family: str, spec: Spec, facts: Facts) -> str:
    """def FAMILY_columns(): the ColumnTransformer in front of a family."""
    dense = family in ("hgb", "lgbm", "extra")
    scale = (
        ""
        if dense
        else ", QuantileTransformer(output_distribution='normal', n_quantiles=200, random_state=0)"
        if spec.quantile
        else ", StandardScaler()"
    )
    numeric = (
        f"make_pipeline(SimpleImputer(strategy='median'){scale})"
        if family != "hgb" and family != "lgbm"
        else "'passthrough'"
    )
    encoder = "OneHotEncoder(handle_unknown='ignore', min_frequency=3, sparse_output=False)"
    if spec.categories == "target":
        encoder = (
            "TargetEncoder(random_state=0)"
            if dense
            else "make_pipeline(TargetEncoder(random_state=0), StandardScaler())"
        )
    elif spec.categories == "native" and dense:
        encoder = "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1)"
    parts = [f"({numeric}, make_column_selector(dtype_include='number'))"]
    if categorical(spec, facts):
        parts += [f"({encoder}, make_column_selector(dtype_include='category'))"]
    for name in facts.text:
        if name not in spec.drop:
            parts += [f"({vectoriser(family, spec)}, {name!r})"]
    lines = ["", "", f"def {family}_columns():", "    return make_column_transformer("]
    return "\n".join(lines + [f"        {part}," for part in parts] + ["    )"])


def vectoriser(family: str, spec: Spec) -> str:
    words = "TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=50_000)"
    text = words
    if spec.chars:
        chars = "TfidfVectorizer(sublinear_tf=True, min_df=2, analyzer='char_wb', ngram_range=(2, 5), max_features=100_000)"
        text = f"make_union({words}, {chars})"
    return (
        text
        if family in ("linear", "svm", "knn")
        else f"make_pipeline({text}, TruncatedSVD(60, random_state=0))"
    )


def definition(family: str, spec: Spec, facts: Facts) -> str:
    body = ESTIMATORS[family](spec, facts)
    pipeline = (
        f"make_pipeline({family}_columns(), {body})" if needs_columns(family, spec, facts) else body
    )
    return f"\n\ndef {family}(seed):\n    return {pipeline}"


def boosted_loss(spec: Spec, name: str) -> str:
    table = {
        "hgb": {"absolute_error": "loss='absolute_error', ", "poisson": "loss='poisson', "},
        "lgbm": {"absolute_error": "objective='mae', ", "poisson": "objective='poisson', "},
    }
    return table[name].get(spec.loss or "", "")


def balance(spec: Spec) -> str:
    return "class_weight='balanced', " if spec.balanced else ""


def hgb(spec: Spec, facts: Facts) -> str:
    name = (
        "HistGradientBoostingClassifier"
        if facts.classification
        else "HistGradientBoostingRegressor"
    )
    rate, rounds = 0.1 / 2**spec.slow, 100 * 2**spec.slow
    native = (
        "categorical_features='from_dtype', "
        if categorical(spec, facts) and not needs_columns("hgb", spec, facts)
        else ""
    )
    small = "min_samples_leaf=10, " if spec.size < 0 else ""
    share = "max_features=0.5, " if spec.seeds > 1 else ""
    loss = boosted_loss(spec, "hgb") if not facts.classification else balance(spec)
    return f"{name}({loss}learning_rate={rate:g}, max_iter={rounds}, max_leaf_nodes={LEAVES[spec.size]}, {small}{share}{native}random_state=seed)"


def lgbm(spec: Spec, facts: Facts) -> str:
    name = "LGBMClassifier" if facts.classification else "LGBMRegressor"
    rate, rounds = 0.05 / 2**spec.slow, 200 * 2**spec.slow
    loss = boosted_loss(spec, "lgbm") if not facts.classification else balance(spec)
    return (
        f"{name}({loss}n_estimators={rounds}, learning_rate={rate:g}, num_leaves={LEAVES[spec.size]}, colsample_bytree=0.7, subsample=0.8, subsample_freq=1, "
        f"min_child_samples=10, random_state=seed, n_jobs=N_JOBS, verbose=-1)"
    )


def extra(spec: Spec, facts: Facts) -> str:
    name = "ExtraTreesClassifier" if facts.classification else "ExtraTreesRegressor"
    share = "'sqrt'" if facts.classification else "0.5"
    return f"{name}({balance(spec) if facts.classification else ''}n_estimators=300, min_samples_leaf={MIN_LEAF[spec.size]}, max_features={share}, random_state=seed, n_jobs=N_JOBS)"


def linear(spec: Spec, facts: Facts) -> str:
    if facts.classification:
        return f"LogisticRegression({balance(spec)}C={C_VALUES[spec.size] * (5 if facts.text else 1):g}, max_iter=2000)"
    return f"Ridge(alpha={1 / C_VALUES[spec.size]:g})"


def svm(spec: Spec, facts: Facts) -> str:
    if facts.classification:
        return f"SVC({balance(spec)}C={3 * C_VALUES[spec.size]:g}, probability=True, random_state=seed)"
    return (
        f"TransformedTargetRegressor(SVR(C={C_VALUES[spec.size]:g}), transformer=StandardScaler())"
    )


def knn(spec: Spec, facts: Facts) -> str:
    name = "KNeighborsClassifier" if facts.classification else "KNeighborsRegressor"
    return f"{name}({NEIGHBOURS[spec.size]}, weights='distance', n_jobs=N_JOBS)"


ESTIMATORS = {"hgb": hgb, "lgbm": lgbm, "extra": extra, "linear": linear, "svm": svm, "knn": knn}

TREND = '''

class Trend:
    """A line with yearly waves over the first date, by ridge regression; boosted trees cannot extrapolate.

    Waves need a year of rows and a bend needs two: what shorter rows seem to show of them is nothing to go on.
    """

    def year(self, X):
        return X.filter(like="_days").iloc[:, 0].fillna(0).to_numpy() / 365.2425

    def terms(self, X):
        year = self.year(X)
        line = (year - 10) / 10
        waves = [f(2 * np.pi * k * year) for k in (1, 2, 3) for f in (np.sin, np.cos)] if self.years >= 1 else []
        return np.column_stack([np.ones(len(X)), line, *([line**2] if self.years >= 2 else []), *waves])

    def fit(self, X, y):
        self.years = np.ptp(self.year(X))
        self.model = Ridge(alpha=1e-3, fit_intercept=False).fit(self.terms(X), y)
        return self

    def predict(self, X):
        return self.model.predict(self.terms(X))'''

SHIFTED = '''

def shifted(X_fit, y_fit):
    """The images and their copies moved by one pixel up, down, left and right."""
    pixels = [c for c in X.columns if c.startswith({prefix!r})]
    place = {{tuple(int(n) for n in c.rsplit("_", 2)[1:]): c for c in pixels}}
    parts, labels = [X_fit], [y_fit]
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        moved = X_fit.copy()
        for (row, column), name in place.items():
            source = place.get((row - down, column - right))
            moved[name] = X_fit[source] if source else 0.0
        parts.append(moved)
        labels.append(y_fit)
    return pd.concat(parts, ignore_index=True), np.concatenate(labels)'''


def imports(spec: Spec, facts: Facts) -> set[str]:
    """Import lines of what the script really uses."""
    code = models(spec, facts) + (" MultiOutputRegressor" if len(facts.target) > 1 else "")
    if spec.thresholds:
        code += (
            " accuracy_score balanced_accuracy_score matthews_corrcoef f1_score cohen_kappa_score"
        )
    found: dict[str, list[str]] = {}
    for name, module in WHERE.items():
        if f"{name}(" in code or f" {name}" in code:
            found.setdefault(module, []).append(name)
    return {f"from {module} import {', '.join(sorted(names))}" for module, names in found.items()}


WHERE = {
    "HistGradientBoostingClassifier": "sklearn.ensemble", "HistGradientBoostingRegressor": "sklearn.ensemble", "ExtraTreesClassifier": "sklearn.ensemble",
    "ExtraTreesRegressor": "sklearn.ensemble", "LGBMClassifier": "lightgbm", "LGBMRegressor": "lightgbm", "LogisticRegression": "sklearn.linear_model",
    "Ridge": "sklearn.linear_model", "SVC": "sklearn.svm", "SVR": "sklearn.svm", "KNeighborsClassifier": "sklearn.neighbors",
    "KNeighborsRegressor": "sklearn.neighbors", "make_column_transformer": "sklearn.compose", "make_column_selector": "sklearn.compose",
    "TransformedTargetRegressor": "sklearn.compose", "make_pipeline": "sklearn.pipeline", "make_union": "sklearn.pipeline", "SimpleImputer": "sklearn.impute",
    "StandardScaler": "sklearn.preprocessing", "QuantileTransformer": "sklearn.preprocessing", "OneHotEncoder": "sklearn.preprocessing",
    "OrdinalEncoder": "sklearn.preprocessing", "TargetEncoder": "sklearn.preprocessing", "TfidfVectorizer": "sklearn.feature_extraction.text",
    "TruncatedSVD": "sklearn.decomposition", "MultiOutputRegressor": "sklearn.multioutput", "accuracy_score": "sklearn.metrics",
    "balanced_accuracy_score": "sklearn.metrics", "matthews_corrcoef": "sklearn.metrics", "f1_score": "sklearn.metrics", "cohen_kappa_score": "sklearn.metrics",
}  # fmt: skip
