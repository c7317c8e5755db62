"""The part of a script that builds its table of features."""

from __future__ import annotations

from pprint import pformat

from reasoner.expert.media import media_code
from reasoner.expert.spec import ScriptSpec, TaskFacts
from reasoner.expert.texts import text_lines

DATE_PARTS = {
    "year": "when.dt.year",
    "month": "when.dt.month",
    "dayofyear": "when.dt.dayofyear",
    "weekday": "when.dt.weekday",
    "hour": "when.dt.hour",
}


def features_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code of X and X_test, built together so that categories agree; labels are never used."""
    raw = {facts.id, *facts.target, *facts.ignored, *spec.drop, *facts.dates, *facts.text}
    usable = {*facts.numeric, *facts.categorical, *facts.dates, *facts.text}
    nothing = not facts.media and not usable - {*spec.drop, *facts.ignored, *facts.target}
    categorical = [name for name in facts.categorical if name not in spec.drop]
    lines = [
        "",
        "",
        f"UNUSED = {_list_literal(sorted(raw))}",
        f"CATEGORICAL = {_list_literal(categorical)}",
        "both = pd.concat([train, test], ignore_index=True)",
        "",
        "",
        "def features(data):",
        '    """Features of every row of train and test."""',
        "    numeric = [c for c in test.columns if c not in UNUSED and c not in CATEGORICAL "
        "and pd.api.types.is_numeric_dtype(data[c])]",
        f'    X = data[numeric].astype("float64"){_bounds_code(facts)}',
        *_numeric_lines(spec, facts),
        *_category_lines(spec, categorical),
        *text_lines(spec, facts),
        "    weak = X.select_dtypes('number').nunique().loc[lambda n: n <= 1].index",
        "    return X.drop(columns=weak)"
        + (".assign(nothing=0.0)  # no column says anything" if nothing else ""),
        "",
        "",
        "X_all = features(both)",
        *(["X_all = X_all.join(media_features(both[ID]))"] if facts.media else []),
        "X, X_test = X_all.iloc[: len(train)], X_all.iloc[len(train) :].reset_index(drop=True)",
        *(_select_lines(facts) if spec.select else []),
    ]
    return "\n".join([media_code(facts, course=spec.course), *lines] if facts.media else lines)


def _bounds_code(facts: TaskFacts) -> str:
    """Call that makes infinite numbers missing and keeps the others within single precision."""
    return ".replace([np.inf, -np.inf], np.nan).clip(-1e30, 1e30)" if facts.huge else ""


def _list_literal(names: list[str]) -> str:
    return pformat(names, width=110, compact=True) if len(str(names)) > 100 else repr(names)


def _numeric_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Lines that add columns of numbers to X."""
    return [
        *_date_lines(spec, facts),
        *(_missing_lines() if spec.missing else []),
        *(_ratio_lines(spec, facts) if spec.ratios else []),
        *(_group_lines(facts) if spec.group_diff and facts.group else []),
        *_category_diff_lines(spec),
        *(_text_stat_lines(facts) if spec.text_stats else []),
    ]


def _date_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    lines = []
    for name in facts.dates:
        if name in spec.drop:
            continue
        zone = ", utc=True).dt.tz_localize(None)" if name in facts.offsets else ")"
        lines += [
            f"    when = pd.to_datetime(data[{name!r}].astype(str), errors='coerce', "
            f"format='mixed'{zone}",
            f"    X[{name + '_days'!r}] = "
            "(when - pd.Timestamp('2000-01-01')).dt.total_seconds() / 86400",
        ]
        if spec.date_parts:
            lines += [
                f"    X[{f'{name}_{part}'!r}] = {code}.astype(float)"
                for part, code in DATE_PARTS.items()
            ]
    return lines


def _missing_lines() -> list[str]:
    return [
        "    X = X.assign(**{f'{c}_missing': data[c].isna().astype(float) for c in test.columns "
        "if data[c].isna().any() and c not in UNUSED})"
    ]


def _ratio_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    names = [name for name in facts.top_numeric if name not in spec.drop]
    return [
        f"    strong = {names!r}",
        "    for i, a in enumerate(strong):",
        "        for b in strong[i + 1 :]:",
        "            X[f'{a}_over_{b}'] = X[a] / X[b].abs().clip(lower=1e-6)",
        "            X[f'{a}_times_{b}'] = X[a] * X[b]",
        "            X[f'{a}_minus_{b}'] = X[a] - X[b]",
    ]


def _group_lines(facts: TaskFacts) -> list[str]:
    return [
        f"    grouped = X[numeric].groupby(data[{facts.group!r}])",
        "    X = X.join((X[numeric] - grouped.transform('mean')).add_suffix('_vs_group')).join(",
        "        grouped.rank(pct=True).add_suffix('_rank_in_group')",
        "    ).join((X[numeric] - grouped.transform('min')).add_suffix('_vs_least'))",
    ]


def _category_diff_lines(spec: ScriptSpec) -> list[str]:
    lines = []
    for name in spec.category_diff:
        means = f"X[numeric].groupby(data[{name!r}].astype(str)).transform('mean')"
        suffix = "_vs_" + name
        lines.append(f"    X = X.join((X[numeric] - {means}).add_suffix({suffix!r}))")
    return lines


def _text_stat_lines(facts: TaskFacts) -> list[str]:
    lines = []
    for name in facts.text:
        text = f"data[{name!r}].fillna('').astype(str).str"
        lines += [
            f"    X[{name + '_chars'!r}] = {text}.len().astype(float)",
            f"    X[{name + '_words'!r}] = {text}.count(' ').astype(float) + 1",
        ]
    return lines


def _category_lines(spec: ScriptSpec, names: list[str]) -> list[str]:
    if not names:
        return []
    if spec.categories == "frequency":
        return [
            "    for c in CATEGORICAL:",
            "        X[c + '_share'] = data[c].astype(str)"
            ".map(data[c].astype(str).value_counts(normalize=True))",
        ]
    return [
        "    for c in CATEGORICAL:  # rare levels together, so that every model can hold them",
        "        common = data[c].astype(str).value_counts().index[:200]",
        "        X[c] = data[c].astype(str)"
        ".where(data[c].astype(str).isin(common), 'other').astype('category')",
    ]


def _select_lines(facts: TaskFacts) -> list[str]:
    target = f"train[{facts.target[0]!r}]"
    codes = f"pd.factorize({target}, sort=True)[0]" if facts.is_classification else target
    return [
        f"strength = X.select_dtypes('number').corrwith(pd.Series({codes}, index=X.index), "
        "method='spearman').abs().fillna(0)",
        "weak = strength.sort_values().index[: len(strength) // 3]",
        "X, X_test = X.drop(columns=weak), X_test.drop(columns=weak)",
    ]
