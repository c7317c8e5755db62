"""A brief's facts as numbered lines: what a prompt shows, and what an answer may cite.

Evidence of the script is E1, E2, …; of the latest attempt L1, …; facts of the data P1, …; columns
C1, …; memory M1, …. Attempts have their own ids (t0s3). Every line has a path (`segments[0]`),
which a diagnosis stores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from reasoner.chat.prompt.text import number_text, se_text, signed_text, single_line
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Effect,
    Fact,
    Hint,
    StepBrief,
    UpdateBrief,
)

N_WORST_TEXTS = 5
N_CLASSES, N_FOLDS, N_COLUMNS, N_SEGMENTS, N_IMPORTANCES = 12, 10, 40, 8, 15
MIN_DRIFT = 0.05  # of a column between train and test, below which it is not mentioned


class NumberedFact(NamedTuple):
    """One fact: its id in the prompt, its path, its text on one line."""

    id: str
    path: str
    text: str


PathsAndTexts = Iterator[tuple[str, str]]
Reader = Callable[[Any], PathsAndTexts]


def number_items(prefix: str, items: PathsAndTexts) -> list[NumberedFact]:
    """Return the facts numbered from 1."""
    return [
        NumberedFact(f"{prefix}{index}", path, single_line(text, 420))
        for index, (path, text) in enumerate(items, 1)
    ]


def citable_paths(brief: Brief) -> dict[str, str]:
    """Return everything that an answer may cite: id or path -> path."""
    items = [*data_items(brief.profile), *column_items(brief.profile)]
    if isinstance(brief, DiagnoseBrief | UpdateBrief):
        items += evidence_items(brief.evidence)
    if isinstance(brief, DiagnoseBrief) and brief.last:
        items += evidence_items(brief.last, "L")
    if isinstance(brief, StepBrief):
        hints = enumerate(brief.hints, 1)
        items += [NumberedFact(f"M{index}", f"memory:{hint.id}", "") for index, hint in hints]
    attempts = {fact.attempt for fact in [*brief.history, *brief.path, *brief.others]}
    by_id = {item.id: item.path for item in items}
    by_path = {item.path: item.path for item in items}
    return by_id | by_path | {attempt: attempt for attempt in attempts}


# evidence


def evidence_items(evidence: dict[str, Any], prefix: str = "E") -> list[NumberedFact]:
    """Return what was measured of a script (task.types.EVIDENCE)."""
    return number_items(prefix, _walk_evidence(evidence))


def _walk_evidence(evidence: dict[str, Any]) -> PathsAndTexts:
    """The score first, then what explains it, unknown keys last."""
    order = list(READERS)
    ranks = {key: order.index(key) if key in READERS else len(order) for key in evidence}
    for key in sorted(evidence, key=lambda key: ranks[key]):
        value = evidence[key]
        if key in READERS:
            if value:
                yield from READERS[key](value)
        elif key not in ("error", "problems"):  # these have sections of their own
            yield key, f"{single_line(key, 40)}: {compact_json(value)}"


def compact_json(value: Any, chars: int = 260) -> str:
    """Return any value as JSON on one line."""
    return single_line(json.dumps(value, ensure_ascii=False, default=str), chars)


def key_value_text(value: dict[str, Any], n: int = 16) -> str:
    """Return the first `n` entries of a mapping as `key value, …`."""
    parts = []
    for key, item in list(value.items())[:n]:
        is_nested = isinstance(item, (dict, list))
        text = compact_json(item, 80) if is_nested else number_text(item)
        parts.append(f"{single_line(key, 40)} {text}")
    return ", ".join(parts)


def folds_text(values: list[Any]) -> str:
    """Return the scores of the folds, at most N_FOLDS."""
    more = " …" if len(values) > N_FOLDS else ""
    return " ".join(number_text(value) for value in values[:N_FOLDS]) + more


def _cv_facts(cv: dict[str, Any]) -> PathsAndTexts:
    better = "higher" if cv.get("direction") == "max" else "lower"
    score = f"{number_text(cv.get('mean'))} ± {se_text(cv.get('se'))} SE ({better} is better)"
    yield "cv.mean", f"score by the harness: {single_line(cv.get('metric'), 80)} {score}"
    if cv.get("folds"):
        scheme = single_line(cv.get("scheme"), 60)
        yield "cv.folds", f"per fold ({scheme}): {folds_text(cv['folds'])}"


def _train_facts(train: dict[str, Any]) -> PathsAndTexts:
    values = train.get("folds")
    if isinstance(values, list):
        title = "the same metric on each fold's training part, as the script says"
        yield "train.folds", f"{title}: {folds_text(values)}"


def _paired_facts(paired: dict[str, Any]) -> PathsAndTexts:
    for name, item in paired.items():
        if not isinstance(item, dict) or item.get("d") is None:
            continue
        other = "best before it" if name == "best" else single_line(name, 40)
        gain = f"{signed_text(item['d'])} ± {se_text(item.get('se'))} SE"
        probability = f"p(improved) {number_text(item.get('p_improved'))}"
        yield (
            f"paired.{name}",
            f"paired on the same rows against the {other}: {gain}, {probability}"
            " (positive is better)",
        )


def _class_facts(classes: dict[str, Any]) -> PathsAndTexts:
    for label, item in list(classes.items())[:N_CLASSES]:
        name = single_line(label, 40)
        text = key_value_text(item) if isinstance(item, dict) else compact_json(item)
        yield f"classes.{name}", f"class {name}: {text}"
    if len(classes) > N_CLASSES:
        yield "classes", f"and {len(classes) - N_CLASSES} more classes"


def _text_facts(value: dict[str, Any]) -> PathsAndTexts:
    plain = {key: item for key, item in value.items() if key != "worst"}
    yield "texts", f"predicted texts (shares of the rows, mean characters): {key_value_text(plain)}"
    for index, item in enumerate(value.get("worst", [])[:N_WORST_TEXTS]):
        true, said = (
            json.dumps(str(item.get(key, "")), ensure_ascii=False) for key in ("true", "predicted")
        )
        text = f"a row that lost most: true {single_line(true, 140)}"
        yield f"texts.worst[{index}]", f"{text}, predicted {single_line(said, 140)}"


def _segment_facts(segments: list[dict[str, Any]]) -> PathsAndTexts:
    for index, item in enumerate(segments[:N_SEGMENTS]):
        where = f"{single_line(item.get('column'), 60)} is {single_line(item.get('value'), 60)}"
        loss = f"mean loss {number_text(item.get('ratio'))} times that of all rows"
        yield f"segments[{index}]", f"{loss} where {where} ({number_text(item.get('n'))} rows)"


def _importance_facts(value: dict[str, Any]) -> PathsAndTexts:
    top = [item for item in value.get("top", []) if isinstance(item, list) and len(item) == 2]
    parts = [f"{single_line(name, 40)} {number_text(weight)}" for name, weight in top]
    text = ", ".join(parts[:N_IMPORTANCES]) or compact_json(value)
    n_zero = number_text(value.get("n_zero", "not told"))
    yield "importances.top", f"importances, as the script says: {text}; without any: {n_zero}"


def _submission_facts(value: dict[str, Any]) -> PathsAndTexts:
    title = "predictions of test against out-of-fold ones, Kolmogorov-Smirnov distance"
    yield "submission", f"{title}: {number_text(value.get('test_pred_vs_oof_ks'))}"


def labelled_reader(key: str, label: str) -> Reader:
    """Return a reader that gives the whole value as one fact."""

    def read(value: Any) -> PathsAndTexts:
        text = key_value_text(value) if isinstance(value, dict) else compact_json(value, 400)
        yield key, f"{label}: {text}"

    return read


READERS: dict[str, Reader] = {
    "cv": _cv_facts,
    "train": _train_facts,
    "paired": _paired_facts,
    "classes": _class_facts,
    "residuals": labelled_reader(
        "residuals",
        "residuals y - p (bias in standard deviations of y;"
        " hetero: rank correlation of |r| with p)",
    ),
    "calibration": labelled_reader(
        "calibration", "calibration (mean of the highest probability against the share right)"
    ),
    "texts": _text_facts,
    "segments": _segment_facts,
    "fit": labelled_reader("fit", "fit, as the script says"),
    "importances": _importance_facts,
    "learning_curve": labelled_reader("learning_curve", "learning curve, as the script says"),
    "warnings": labelled_reader("warnings", "warnings in the log"),
    "resources": labelled_reader("resources", "used"),
    "submission": _submission_facts,
    "notes": labelled_reader("notes", "note of the script"),
}


# the data


def data_items(profile: dict[str, Any]) -> list[NumberedFact]:
    """Return what is known of the data as a whole (task.types.PROFILE)."""
    return number_items("P", _data_facts(profile))


def _data_facts(profile: dict[str, Any]) -> PathsAndTexts:
    for index, note in enumerate(profile.get("notes", [])[:10]):
        yield f"profile.notes[{index}]", str(note)
    if target := profile.get("target"):
        yield (
            "profile.target",
            f"target {single_line(target.get('name'), 60)}: {_target_text(target)}",
        )
    for key, label in (
        ("groups", "columns whose values repeat over rows (entities)"),
        ("time", "dates"),
        ("text", "texts"),
        ("leaks", "suspected of leaking"),
    ):
        if profile.get(key):
            yield f"profile.{key}", f"{label}: {compact_json(profile[key], 400)}"
    if (duplicates := profile.get("duplicates", {})).get("rows"):
        text = key_value_text(duplicates)
        yield "profile.duplicates", f"rows whose features repeat another's: {text}"


def _target_text(target: dict[str, Any]) -> str:
    if target.get("kind") == "text":
        examples = [single_line(json.dumps(text), 130) for text in target.get("examples", [])]
        numbers = {key: value for key, value in target.items() if isinstance(value, (int, float))}
        return f"texts; {key_value_text(numbers)}; e.g. {' / '.join(examples)}"
    if rates := target.get("rates"):
        return "class rates " + key_value_text(rates, 20)
    return key_value_text({k: value for k, value in target.items() if k not in ("name", "kind")})


def column_items(profile: dict[str, Any]) -> list[NumberedFact]:
    """Return the strongest columns, at most N_COLUMNS, in the table's order."""
    columns = profile.get("columns", [])
    strengths = [column.get("strength") or 0.0 for column in columns]
    ranked = sorted(range(len(columns)), key=lambda index: (-strengths[index], index))
    chosen = [columns[index] for index in sorted(ranked[:N_COLUMNS])]
    return number_items(
        "C", ((f"columns.{single_line(item['name'], 60)}", column_text(item)) for item in chosen)
    )


def column_text(item: dict[str, Any]) -> str:
    """Return `name kind/dtype; range; values; missing; strength; drift; …; e.g. examples`."""
    name = single_line(json.dumps(item["name"], ensure_ascii=False), 60)
    parts = [f"{name} {item['kind']}/{single_line(item.get('dtype'), 20)}"]
    if "min" in item:
        low, high = number_text(item["min"]), number_text(item.get("max"))
        mean, skew = number_text(item.get("mean")), number_text(item.get("skew"))
        parts.append(f"{low}..{high} mean {mean} skew {skew}")
    parts.append(f"{number_text(item.get('n_unique'))} values")
    if item.get("missing") or item.get("missing_test"):
        in_test = percent_text(item.get("missing_test"))
        parts.append(f"missing {percent_text(item.get('missing'))} (test {in_test})")
    if item.get("strength") is not None:
        parts.append(f"alone {item['strength']:.2f}")
    parts += _train_test_differences(item)
    if "mean_chars" in item:
        parts.append(f"{number_text(item['mean_chars'])} characters")
    values = item.get("examples", [])[:3]
    examples = [single_line(json.dumps(value, ensure_ascii=False), 40) for value in values]
    return "; ".join(parts) + (f"; e.g. {', '.join(examples)}" if examples else "")


def _train_test_differences(item: dict[str, Any]) -> list[str]:
    parts = []
    if (item.get("drift") or 0) > MIN_DRIFT:
        parts.append(f"drift {item['drift']:.2f}")
    if item.get("unseen"):
        parts.append(f"unseen in train {percent_text(item['unseen'])} of test")
    if item.get("constant_test"):
        parts.append("CONSTANT in test")
    if item.get("absent_test"):
        parts.append("ABSENT from test")
    return parts


def percent_text(share: float | None) -> str:
    """Return a share as percent, `-` for none."""
    return "-" if share is None else f"{share:.1%}"


# attempts and memory


def failure_items(evidence: dict[str, Any]) -> list[NumberedFact]:
    """Return why an attempt failed, a line each."""
    texts = [str(problem) for problem in evidence.get("problems", [])[:3]]
    error = evidence.get("error")
    if isinstance(error, dict):
        texts.insert(0, f"{error.get('type')}: {error.get('message')}")
    return [NumberedFact("failed:", "", single_line(text, 400)) for text in texts]


def fact_line(fact: Fact, *, short: bool = False) -> str:
    """Return an attempt on one line; in short without prediction and reasons.

    `t0s3 features: statement | predicted better/small 60% sure | measured +0.004 ± 0.001 | TIE`
    """
    if short:
        gain = f" {_gain_text(fact)}" if fact.gain is not None else ""
        score = f" (score {number_text(fact.score)})" if fact.score is not None else ""
        statement = single_line(fact.hypothesis, 120)
        return f"{attempt_label(fact)}: {statement} | {fact.verdict.upper()}{gain}{score}"
    parts = [f"{attempt_label(fact)}: {single_line(fact.hypothesis, 220)}"]
    if fact.predicted:
        sure = f" {fact.confidence:.0%} sure" if fact.confidence is not None else ""
        parts.append(f"predicted {effect_text(fact.predicted)}{sure}")
    if fact.gain is not None:
        parts.append(f"measured {_gain_text(fact)}")
    if fact.score is not None:
        parts.append(f"score {number_text(fact.score)}")
    has_reason = fact.why and fact.verdict != "accepted" and fact.gain is None
    reason = f": {single_line(fact.why, 200)}" if has_reason else ""
    parts.append(f"{fact.verdict.upper()}{reason}")
    if fact.cause or fact.fix:
        parts += _failure_parts(fact)
    return " | ".join(parts)


def _failure_parts(fact: Fact) -> tuple[str, str]:
    """Cause and fix of a crash, whether or not the fix worked."""
    cause, fix = single_line(fact.cause, 200), single_line(fact.fix, 200)
    if fact.verdict == "failed":
        return f"cause: {cause}", f"fix proposed: {fix}"
    return f"it crashed at first and was repaired, cause: {cause}", f"fix: {fix}"


def _gain_text(fact: Fact | Hint) -> str:
    assert fact.gain is not None
    return f"{signed_text(fact.gain)} ± {se_text(fact.gain_se)}"


def effect_text(effect: Effect) -> str:
    """Return a predicted effect: `better/small`."""
    return f"{('worse', 'no change', 'better')[effect.sign + 1]}/{effect.size}"


def attempt_label(fact: Fact) -> str:
    """Return attempt and component: `t0s3 features`."""
    return f"{single_line(fact.attempt, 20)} {single_line(fact.component, 20)}".strip()


def hint_line(hint: Hint) -> str:
    """Return a recalled record on one line: what was measured, its weight and provenance."""
    helped = "HELPED" if hint.kind == "accepted" else "DID NOT HELP"
    statement = f"{single_line(hint.component, 20)}: {single_line(hint.hypothesis, 260)}"
    text = f"{helped} ({_gain_text(hint)} SE, weight {hint.weight:+.2f}) {statement}"
    if hint.challenge:
        text += f" | against: {single_line(hint.challenge, 160)}"
    text += f" | from {single_line(hint.where, 120)}"
    return f"{text}, attempt {hint.attempt}" if hint.attempt else text
