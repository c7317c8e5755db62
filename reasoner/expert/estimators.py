"""The part of a script that defines the models: one small function per family."""

from __future__ import annotations

from reasoner.expert.lines import name_variant, vary
from reasoner.expert.spec import (
    BOOSTED_FAMILIES,
    SCALED_FAMILIES,
    WORD_FAMILIES,
    ScriptSpec,
    TaskFacts,
    needs_model_per_target,
)
from reasoner.expert.texts import text_columns, text_part, vectors_code

MAX_LEAVES = {-2: 4, -1: 8, 0: 31, 1: 63, 2: 127, 3: 255}
C_VALUES = {-2: 0.02, -1: 0.2, 0: 1.0, 1: 5.0, 2: 20.0, 3: 100.0}
MIN_LEAF = {-2: 40, -1: 20, 0: 3, 1: 2, 2: 1, 3: 1}
NEIGHBOURS = {-2: 60, -1: 30, 0: 15, 1: 7, 2: 4, 3: 2}
HGB_LOSSES = {
    "absolute_error": "loss='absolute_error', ",
    "poisson": "loss='poisson', ",
}
LGBM_LOSSES = {
    "absolute_error": "objective='mae', ",
    "poisson": "objective='poisson', ",
}
CATBOOST_LOSSES = {
    "absolute_error": "loss_function='MAE', ",
    "poisson": "loss_function='Poisson', ",
}
CATBOOST_DEPTHS = {-2: 2, -1: 4, 0: 6, 1: 7, 2: 8, 3: 10}
XGBOOST_LOSSES = {
    "absolute_error": "objective='reg:absoluteerror', ",
    "poisson": "objective='count:poisson', ",
}
QUANTILE_TRANSFORMER = (
    "QuantileTransformer(output_distribution='normal', n_quantiles=200, random_state=0)"
)
MODULE_NAMES = {
    "sklearn.ensemble": "HistGradientBoostingClassifier HistGradientBoostingRegressor "
    "ExtraTreesClassifier ExtraTreesRegressor",
    "lightgbm": "LGBMClassifier LGBMRegressor",
    "catboost": "CatBoostClassifier CatBoostRegressor",
    "xgboost": "XGBClassifier XGBRegressor",
    "sklearn.naive_bayes": "MultinomialNB",
    "sklearn.linear_model": "LogisticRegression Ridge",
    "sklearn.svm": "SVC SVR",
    "sklearn.neighbors": "KNeighborsClassifier KNeighborsRegressor",
    "sklearn.compose": "make_column_transformer make_column_selector TransformedTargetRegressor",
    "sklearn.pipeline": "make_pipeline make_union",
    "sklearn.impute": "SimpleImputer",
    "sklearn.preprocessing": "FunctionTransformer StandardScaler QuantileTransformer "
    "OneHotEncoder OrdinalEncoder TargetEncoder",
    "sklearn.feature_extraction.text": "HashingVectorizer TfidfTransformer TfidfVectorizer",
    "sklearn.dummy": "DummyClassifier",
    "sklearn.decomposition": "TruncatedSVD",
    "sklearn.multiclass": "OneVsRestClassifier",
    "sklearn.multioutput": "MultiOutputRegressor",
    "sklearn.metrics": "accuracy_score balanced_accuracy_score matthews_corrcoef f1_score "
    "cohen_kappa_score",
}
"""Module -> names that a script may import from it."""


def _model_families(spec: ScriptSpec) -> list[str]:
    return [spec.family, spec.second] if spec.second else [spec.family]


def _needs_column_transformer(family: str, spec: ScriptSpec, facts: TaskFacts) -> bool:
    """Whether the family needs its columns encoded, imputed or scaled first."""
    if family in {*SCALED_FAMILIES, *WORD_FAMILIES, "extra"} or text_columns(spec, facts):
        return True
    is_copied = family == "cat" and needs_model_per_target(spec, facts)  # a list cannot be cloned
    is_encoded = spec.categories in ("onehot", "target") or is_copied
    return bool(_categorical_columns(spec, facts)) and is_encoded


def _categorical_columns(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Columns that stay categorical in the features; frequencies are numbers."""
    if spec.categories == "frequency":
        return []
    return [name for name in facts.categorical if name not in spec.drop]


def models_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code that defines the models and the list MODELS."""
    names = _model_families(spec)
    is_lined = bool(spec.line) and not spec.line[0].startswith("mix")
    blocks = [vectors_code(spec, facts, names)]
    blocks += [
        _column_transformer_code(name, spec, facts)
        for name in names
        if _needs_column_transformer(name, spec, facts)
    ]
    blocks = [block for block in blocks if block]
    variants = {"": spec} if not is_lined else {item: vary(spec, item) for item in spec.line}
    for number, one in enumerate(variants.values()):
        end = f"_{number}" if is_lined else ""
        blocks += [_model_factory_code(name, one, facts, end) for name in names]
    if spec.detrend:
        blocks.append(TREND)
    if spec.shift and facts.grid:
        blocks.append(SHIFTED.format(prefix=facts.grid))
    if not is_lined:
        return "\n".join(blocks) + f"\n\n\nMODELS = [{', '.join(names)}]"
    lines = [
        f"    {name_variant(item)!r}: [{', '.join(f'{name}_{number}' for name in names)}],"
        for number, item in enumerate(variants)
    ]
    return "\n".join([*blocks, "", "", "VARIANTS = {", *lines, "}"])


def _column_transformer_code(family: str, spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code of FAMILY_columns(), which returns the ColumnTransformer in front of a family."""
    numeric, parts = _numeric_transformer_code(family, spec), []
    if family not in WORD_FAMILIES:
        parts.append(f"({numeric}, make_column_selector(dtype_include='number'))")
    if _categorical_columns(spec, facts) and family not in WORD_FAMILIES:
        encoder = _encoder_code(family, spec, facts)
        parts.append(f"({encoder}, make_column_selector(dtype_include='category'))")
    parts += [text_part(family, name) for name in text_columns(spec, facts)]
    lines = ["", "", f"def {family}_columns():", "    return make_column_transformer("]
    return "\n".join([*lines, *(f"        {part}," for part in parts), "    )"])


def _numeric_transformer_code(family: str, spec: ScriptSpec) -> str:
    if family in BOOSTED_FAMILIES:
        return "'passthrough'"
    scaler = ""
    if family in SCALED_FAMILIES:
        scaler = f", {QUANTILE_TRANSFORMER}" if spec.quantile else ", StandardScaler()"
    return f"make_pipeline(SimpleImputer(strategy='median'){scaler})"


def _encoder_code(family: str, spec: ScriptSpec, facts: TaskFacts) -> str:
    scaled = family in SCALED_FAMILIES
    if spec.categories == "target":
        is_count = not facts.is_classification and facts.counts and spec.target is None
        kind = "target_type='continuous', " if is_count else ""  # else each count is a class
        encoder = f"TargetEncoder({kind}random_state=0)"
        return f"make_pipeline({encoder}, StandardScaler())" if scaled else encoder
    if spec.categories == "native" and not scaled:
        return "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1)"
    return "OneHotEncoder(handle_unknown='ignore', min_frequency=3, sparse_output=False)"


def _model_factory_code(family: str, spec: ScriptSpec, facts: TaskFacts, end: str = "") -> str:
    """Code of FAMILY(seed), which returns an unfitted model; `end`: of its name, in a line."""
    model = ESTIMATORS[family](spec, facts)
    if _needs_column_transformer(family, spec, facts):
        model = f"make_pipeline({family}_columns(), {model})"
    return f"\n\ndef {family}{end}(seed):\n    return {model}"


def _class_weight_argument(spec: ScriptSpec) -> str:
    return "class_weight='balanced', " if spec.balanced else ""


def _hgb_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    loss = _class_weight_argument(spec)
    name = "HistGradientBoostingClassifier"
    if not facts.is_classification:
        name = "HistGradientBoostingRegressor"
        loss = HGB_LOSSES.get(spec.loss or "", "")
    rate, rounds = 0.1 / 2**spec.slow, 100 * 2**spec.slow
    encoded = _needs_column_transformer("hgb", spec, facts)
    native = bool(_categorical_columns(spec, facts)) and not encoded
    arguments = [
        f"{loss}learning_rate={rate:g}",
        f"max_iter={rounds}",
        f"max_leaf_nodes={MAX_LEAVES[spec.size]}",
        *(["min_samples_leaf=10"] if spec.size < 0 else []),
        *(["max_features=0.5"] if spec.seeds > 1 else []),
        *(["categorical_features='from_dtype'"] if native else []),
        *(["early_stopping=False"] if facts.is_classification and facts.scarce else []),
        "random_state=seed",
    ]
    return f"{name}({', '.join(arguments)})"


def _lgbm_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    name, loss = "LGBMClassifier", _class_weight_argument(spec)
    if not facts.is_classification:
        name, loss = "LGBMRegressor", LGBM_LOSSES.get(spec.loss or "", "")
    rate, rounds = 0.05 / 2**spec.slow, 200 * 2**spec.slow
    return (
        f"{name}({loss}n_estimators={rounds}, learning_rate={rate:g}, "
        f"num_leaves={MAX_LEAVES[spec.size]}, colsample_bytree=0.7, subsample=0.8, "
        "subsample_freq=1, min_child_samples=10, random_state=seed, n_jobs=N_JOBS, verbose=-1)"
    )


def _extra_trees_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    name, share, weight = "ExtraTreesClassifier", "'sqrt'", _class_weight_argument(spec)
    if not facts.is_classification:
        name, share, weight = "ExtraTreesRegressor", "0.5", ""
    return (
        f"{name}({weight}n_estimators=300, min_samples_leaf={MIN_LEAF[spec.size]}, "
        f"max_features={share}, random_state=seed, n_jobs=N_JOBS)"
    )


def _linear_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    if not facts.is_classification:
        return f"Ridge(alpha={1 / C_VALUES[spec.size]:g})"
    c, weight = C_VALUES[spec.size], _class_weight_argument(spec)
    if not text_columns(spec, facts):
        return f"LogisticRegression({weight}C={c:g}, max_iter=2000)"
    model = (
        f"LogisticRegression({weight}C={5 * c:g}, solver='liblinear', dual=True, max_iter=1000, "
        "random_state=0)"
    )  # on sparse words one class against the others is faster than all at once, and no worse
    return model if facts.kind == "binary" else f"OneVsRestClassifier({model})"


def _svm_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    c = C_VALUES[spec.size]
    if not facts.is_classification:
        return f"TransformedTargetRegressor(SVR(C={c:g}), transformer=StandardScaler())"
    weight = _class_weight_argument(spec)
    return f"SVC({weight}C={3 * c:g}, probability=True, random_state=seed)"


def _knn_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    name = "KNeighborsClassifier" if facts.is_classification else "KNeighborsRegressor"
    neighbours = min(NEIGHBOURS[spec.size], facts.smallest_fit or NEIGHBOURS[spec.size])
    return f"{name}({neighbours}, weights='distance', n_jobs=N_JOBS)"


def _bayes_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    return f"MultinomialNB(alpha={0.1 / 2**spec.size:g})"


def _catboost_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    name = "CatBoostClassifier"
    loss = "auto_class_weights='Balanced', " if spec.balanced else ""
    if not facts.is_classification:
        name, loss = "CatBoostRegressor", CATBOOST_LOSSES.get(spec.loss or "", "")
    native = _categorical_columns(spec, facts) and not _needs_column_transformer("cat", spec, facts)
    columns = "cat_features=[c for c in X if X[c].dtype == 'category'], " if native else ""
    rate, rounds = 0.06 / 2**spec.slow, 300 * 2**spec.slow
    return (
        f"{name}({loss}{columns}iterations={rounds}, learning_rate={rate:g}, "
        f"depth={CATBOOST_DEPTHS[spec.size]}, random_seed=seed, thread_count=N_JOBS, "
        "verbose=False, allow_writing_files=False)"
    )


def _xgboost_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    name, loss = "XGBClassifier", ""
    if not facts.is_classification:
        name, loss = "XGBRegressor", XGBOOST_LOSSES.get(spec.loss or "", "")
    rate, rounds = 0.05 / 2**spec.slow, 200 * 2**spec.slow
    return (
        f"{name}({loss}n_estimators={rounds}, learning_rate={rate:g}, "
        f"max_depth=0, grow_policy='lossguide', max_leaves={MAX_LEAVES[spec.size]}, "
        "min_child_weight=3, colsample_bytree=0.7, subsample=0.8, enable_categorical=True, "
        "random_state=seed, n_jobs=N_JOBS)"
    )


ESTIMATORS = {
    "bayes": _bayes_code,
    "cat": _catboost_code,
    "xgb": _xgboost_code,
    "hgb": _hgb_code,
    "lgbm": _lgbm_code,
    "extra": _extra_trees_code,
    "linear": _linear_code,
    "svm": _svm_code,
    "knn": _knn_code,
}

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
        return self.model.predict(self.terms(X))'''  # noqa: E501 - a script's own line lengths

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


def model_import_lines(spec: ScriptSpec, facts: TaskFacts) -> set[str]:
    """Import lines of the names that the script's models and thresholds use."""
    is_split = needs_model_per_target(spec, facts)
    code = models_code(spec, facts) + (" MultiOutputRegressor" if is_split else "")
    if facts.is_classification and facts.scarce:
        code += " DummyClassifier"
    if spec.thresholds:
        code += (
            " accuracy_score balanced_accuracy_score matthews_corrcoef f1_score cohen_kappa_score"
        )
    imports: dict[str, list[str]] = {}
    for module, names in MODULE_NAMES.items():
        used = [name for name in names.split() if f"{name}(" in code or f" {name}" in code]
        imports |= {module: sorted(used)} if used else {}
    return {f"from {module} import {', '.join(names)}" for module, names in imports.items()}
