"""Spec to script: plain, self-contained scikit-learn or LightGBM code that a person would keep.

The script contains only what the spec asks for, and follows docs/script-contract.md.
"""

from __future__ import annotations

import sys
from pprint import pformat

from reasoner.expert.answers import answers_code, answers_import_lines, describe_answers
from reasoner.expert.estimators import model_import_lines, models_code
from reasoner.expert.features import features_code
from reasoner.expert.lines import describe_line, line_code
from reasoner.expert.media import media_import_lines, media_modules
from reasoner.expert.names import facts_with_plain_names, spec_with_plain_names
from reasoner.expert.predictions import (
    evidence_code,
    output_code,
    postprocessing_code,
    writer_code,
)
from reasoner.expert.spec import (
    ScriptSpec,
    TaskFacts,
    canonical_spec,
    is_stochastic,
    spec_header,
)
from reasoner.expert.stacking import STACKED, stacking_code, stacking_import
from reasoner.expert.training import cross_validation_code, fitting_code, train_metric

FAMILY_NAMES = {
    "hgb": "gradient boosting",
    "lgbm": "LightGBM",
    "extra": "extra trees",
    "linear": "a linear model",
    "svm": "a kernel machine",
    "knn": "nearest neighbours",
    "bayes": "naive Bayes",
    "cat": "CatBoost",
    "xgb": "XGBoost",
}
CHOICE_NAMES = {
    "slow": "slower learning",
    "date_parts": "date parts",
    "detrend": "trend and season first",
    "recent": "recent rows",
    "ratios": "ratios of columns",
    "missing": "missingness indicators",
    "group_diff": "differences within the group",
    "group_normalise": "predictions normalised in the group",
    "chars": "character n-grams",
    "text_stats": "text lengths",
    "shift": "shifted images",
    "course": "the course of series",
    "quantile": "quantile scaling",
    "thresholds": "tuned class weights",
    "balanced": "balanced classes",
    "expectation": "rounded expectation",
    "soften": "softened probabilities",
    "select": "weak columns left out",
}


def render_script(spec: ScriptSpec, facts: TaskFacts, why: str = "") -> str:
    """Return the whole script; `why` becomes the second paragraph of its docstring."""
    spec = canonical_spec(spec, facts)
    header, description = spec_header(spec), describe_script(spec, facts)
    spec, facts = spec_with_plain_names(spec, facts), facts_with_plain_names(facts)
    reason = f"\n\n{_docstring_text(why)}" if why else ""
    if facts.is_text:
        return _render_answers(spec, facts, f'{header}\n"""{description}{reason}\n"""\n')
    blocks = [
        header,
        f'"""{description}{reason}\n"""\n',
        _imports_code(spec, facts),
        _loading_code(spec, facts),
        features_code(spec, facts),
        models_code(spec, facts),
        fitting_code(spec, facts),
        *_ending_blocks(spec, facts),
    ]
    return "\n".join(block for block in blocks if block) + "\n"


def _ending_blocks(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Code from the folds to the files."""
    folds = cross_validation_code(facts)
    after = [postprocessing_code(spec, facts), stacking_code(spec, facts)]
    if spec.line or spec.mix != 50:
        return [
            writer_code(facts).rstrip(),
            line_code(spec, folds, "\n".join(filter(None, after))),
            evidence_code(facts, lined=True),
        ]
    return [folds, *after, output_code(facts)]


def _render_answers(spec: ScriptSpec, facts: TaskFacts, header: str) -> str:
    """Return the script of a task of free answers."""
    sample = 'sample = pd.read_csv("input/sample_submission.csv", nrows=1, keep_default_na=False)'
    blocks = [
        header,
        _imports_code(spec, facts),
        _loading_code(spec, facts),
        sample,
        answers_code(spec, facts),
    ]
    return "\n".join(block for block in blocks if block) + "\n"


def _docstring_text(text: str) -> str:
    """Text that cannot end a docstring, however hostile the names in it are."""
    return text.replace("\\", "/").replace('"""', "'''")[:600]


def family_in_summary(summary: str) -> str | None:
    """Model family of the script that `describe_script` summarised; None for any other text."""
    return next((family for family, name in FAMILY_NAMES.items() if f" by {name}" in summary), None)


def describe_script(spec: ScriptSpec, facts: TaskFacts) -> str:
    """One line: what the script is."""
    if facts.is_text:
        return _docstring_text(describe_answers(spec, facts))
    model = FAMILY_NAMES[spec.family]
    if spec.second:
        model += f" blended with {FAMILY_NAMES[spec.second]}"
    parts = [model, *(name for key, name in CHOICE_NAMES.items() if getattr(spec, key))]
    if spec.mix != 50 and not spec.line:
        parts.append(f"{spec.mix} % of it")
    if line := describe_line(spec):
        parts.append(line)
    if spec.size:
        parts.append(f"capacity {spec.size:+d}")
    if spec.seeds > 1:
        parts.append(f"{spec.seeds} seeds averaged")
    if spec.rows:
        parts.append(f"1/{2**spec.rows} of the rows in a fit")
    if spec.categories != "native":
        parts.append(f"{spec.categories} encoding")
    if spec.target:
        parts.append(f"{spec.target} of the target")
    if spec.loss:
        parts.append(f"{spec.loss} loss")
    if spec.stack:
        parts.append(f"{STACKED} {len(spec.stack)} attempts")
    if spec.drop:
        parts.append(f"without {', '.join(_docstring_text(name) for name in spec.drop[:3])}")
    target = _docstring_text(", ".join(facts.target)[:60])
    return f"Predict {target} by {', '.join(parts)}."


def _imports_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    metric = None if facts.is_text else train_metric(facts)
    models = answers_import_lines(facts) if facts.is_text else model_import_lines(spec, facts)
    other = [
        *sorted({*models, *stacking_import(spec, facts)}),
        *([f"from sklearn.metrics import {metric.function}"] if metric else []),
    ]
    standard: list[str] = []
    if facts.is_text or facts.media:
        standard, other = split_imports([*other, *media_import_lines(facts)])
    lines = [
        *(f"import {name}" for name in sorted(["json", "os", *media_modules(facts)])),
        *standard,
        "",
        "import numpy as np",
        "import pandas as pd",
        *other,
    ]
    return "\n".join(lines)


def split_imports(lines: list[str]) -> tuple[list[str], list[str]]:
    """Sort import lines, one per module: those of the standard library, and others."""
    modules: dict[str, set[str]] = {}
    for line in lines:
        module, _, names = line.removeprefix("from ").partition(" import ")
        modules.setdefault(module, set()).update(names.split(", "))
    merged = {
        name: f"from {name} import {', '.join(sorted(modules[name]))}" for name in sorted(modules)
    }
    own = [name for name in merged if name.partition(".")[0] in sys.stdlib_module_names]
    return [merged[n] for n in own], [line for n, line in merged.items() if n not in own]


def _fold_column(facts: TaskFacts) -> str:
    """Expression of the folds, whose name is not `fold` where the id has this name."""
    return ".iloc[:, 0]" if facts.id == "fold" else '["fold"]'


def _rename_code(facts: TaskFacts) -> str:
    """Lines that give the columns plain names, or an empty string."""
    if not facts.plain_names:
        return ""
    names = pformat(dict(facts.plain_names), width=96, sort_dicts=False)
    return f"""
PLAIN = {names}
train, test = train.rename(columns=PLAIN), test.rename(columns=PLAIN)"""


def _loading_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    reader, suffix = ("read_parquet", "parquet") if facts.parquet else ("read_csv", "csv")
    seed = '\nSEED = int(os.environ.get("GOME_SEED", 0))' if is_stochastic(spec) else ""
    target = facts.target[0] if len(facts.target) == 1 else list(facts.target)
    return f"""
ID, TARGET = {facts.id!r}, {target!r}
N_JOBS = int(os.environ.get("OMP_NUM_THREADS", 1)){seed}

train = pd.{reader}("input/train.{suffix}")
test = pd.{reader}("input/test.{suffix}"){_rename_code(facts)}
folds = pd.read_csv("input/folds.csv").set_index(ID){_fold_column(facts)}
fold = train[ID].map(folds).to_numpy()
OUTPUT = list(pd.read_csv("input/sample_submission.csv", nrows=0).columns)"""
