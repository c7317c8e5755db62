"""A brief's facts as numbered lines: what a prompt shows, and what an answer may cite.

Evidence of the script is E1, E2, …; of the latest attempt L1, …; facts of the data P1, …; columns C1, …; memory M1, ….  Attempts go by their
own ids (t0s3).  Every line has a path (`segments[0]`), which is what a diagnosis keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from reasoner.chat.prompt.text import line, noise, number, signed
from reasoner.protocol import Brief, DiagnoseBrief, Fact, Hint, UpdateBrief

N_CLASSES, N_FOLDS, N_COLUMNS = 12, 10, 60


class Item(NamedTuple):
    """One fact: its id in the prompt, its path, its text on one line."""

    id: str
    path: str
    text: str


Found = Iterator[tuple[str, str]]


def numbered(prefix: str, found: Found) -> list[Item]:
    return [
        Item(f"{prefix}{index}", path, line(text, 420))
        for index, (path, text) in enumerate(found, 1)
    ]


def known(brief: Brief) -> dict[str, str]:
    """Everything that an answer may cite: id or path -> path."""
    items = [*data_items(brief.profile), *column_items(brief.profile)]
    if isinstance(brief, DiagnoseBrief | UpdateBrief):
        items += evidence_items(brief.evidence)
    if isinstance(brief, DiagnoseBrief) and brief.last:
        items += evidence_items(brief.last, "L")
    if isinstance(brief, UpdateBrief):
        items += [
            Item(f"M{index}", f"memory:{hint.id}", "") for index, hint in enumerate(brief.hints, 1)
        ]
    attempts = {fact.attempt for fact in [*brief.history, *brief.path, *brief.others]}
    return (
        {item.id: item.path for item in items}
        | {item.path: item.path for item in items}
        | {name: name for name in attempts}
    )


# evidence


def evidence_items(evidence: dict[str, Any], prefix: str = "E") -> list[Item]:
    return numbered(prefix, _evidence(evidence))


def _evidence(evidence: dict[str, Any]) -> Found:
    order = list(READERS)  # the score first, then what explains it; what nobody knows comes last
    for key, value in sorted(
        evidence.items(),
        key=lambda item: order.index(item[0]) if item[0] in READERS else len(order),
    ):
        reader = READERS.get(key)
        if reader is not None and value:
            yield from reader(value)
        elif reader is None and key not in (
            "error",
            "problems",
        ):  # those two stand in a section of their own
            yield key, f"{line(key, 40)}: {compact(value)}"


def compact(value: Any, chars: int = 260) -> str:
    return line(json.dumps(value, ensure_ascii=False, default=str), chars)


def pairs(value: dict[str, Any], n: int = 16) -> str:
    return ", ".join(
        f"{line(key, 40)} {number(item) if not isinstance(item, (dict, list)) else compact(item, 80)}"
        for key, item in list(value.items())[:n]
    )


def folds(values: list[Any]) -> str:
    return " ".join(number(value) for value in values[:N_FOLDS]) + (
        " …" if len(values) > N_FOLDS else ""
    )


def _cv(cv: dict[str, Any]) -> Found:
    better = "higher" if cv.get("direction") == "max" else "lower"
    yield (
        "cv.mean",
        f"score by the harness: {line(cv.get('metric'), 80)} {number(cv.get('mean'))} ± {noise(cv.get('se'))} SE ({better} is better)",
    )
    if cv.get("folds"):
        yield "cv.folds", f"per fold ({line(cv.get('scheme'), 60)}): {folds(cv['folds'])}"


def _train(train: dict[str, Any]) -> Found:
    values = train.get("folds")
    if isinstance(values, list):
        yield (
            "train.folds",
            f"the same metric on each fold's training part, as the script says: {folds(values)}",
        )


def _paired(paired: dict[str, Any]) -> Found:
    for name, item in paired.items():
        if isinstance(item, dict) and item.get("d") is not None:
            told = f"{signed(item['d'])} ± {noise(item.get('se'))} SE, p(improved) {number(item.get('p_improved'))}"
            yield (
                f"paired.{name}",
                f"paired on the same rows against the {'best before it' if name == 'best' else line(name, 40)}: {told} (positive is better)",
            )


def _classes(classes: dict[str, Any]) -> Found:
    for label, item in list(classes.items())[:N_CLASSES]:
        yield (
            f"classes.{line(label, 40)}",
            f"class {line(label, 40)}: {pairs(item) if isinstance(item, dict) else compact(item)}",
        )
    if len(classes) > N_CLASSES:
        yield "classes", f"and {len(classes) - N_CLASSES} more classes"


def _segments(segments: list[dict[str, Any]]) -> Found:
    for index, item in enumerate(segments[:8]):
        told = f"mean loss {number(item.get('ratio'))} times that of all rows where {line(item.get('column'), 60)} is {line(item.get('value'), 60)}"
        yield f"segments[{index}]", f"{told} ({number(item.get('n'))} rows)"


def _importances(value: dict[str, Any]) -> Found:
    top = [item for item in value.get("top", []) if isinstance(item, list) and len(item) == 2]
    told = ", ".join(f"{line(name, 40)} {number(share)}" for name, share in top[:15])
    yield (
        "importances.top",
        f"importances, as the script says: {told or compact(value)}; without any: {number(value.get('n_zero', 'not told'))}",
    )


def _submission(value: dict[str, Any]) -> Found:
    yield (
        "submission",
        f"predictions of test against out-of-fold ones, Kolmogorov-Smirnov distance: {number(value.get('test_pred_vs_oof_ks'))}",
    )


def plain(key: str, told: str) -> Any:
    def read(value: Any) -> Found:
        yield key, f"{told}: {pairs(value) if isinstance(value, dict) else compact(value, 400)}"

    return read


READERS: dict[str, Any] = {
    "cv": _cv,
    "train": _train,
    "paired": _paired,
    "classes": _classes,
    "residuals": plain(
        "residuals",
        "residuals y - p (bias in standard deviations of y; hetero: rank correlation of |r| with p)",
    ),
    "calibration": plain(
        "calibration", "calibration (mean of the highest probability against the share right)"
    ),
    "segments": _segments,
    "fit": plain("fit", "fit, as the script says"),
    "importances": _importances,
    "learning_curve": plain("learning_curve", "learning curve, as the script says"),
    "warnings": plain("warnings", "warnings in the log"),
    "resources": plain("resources", "used"),
    "submission": _submission,
    "notes": plain("notes", "note of the script"),
}


# the data


def data_items(profile: dict[str, Any]) -> list[Item]:
    return numbered("P", _data(profile))


def _data(profile: dict[str, Any]) -> Found:
    for index, note in enumerate(profile.get("notes", [])[:10]):
        yield f"profile.notes[{index}]", str(note)
    if aim := profile.get("target"):
        rates = aim.get("rates")
        told = (
            "class rates " + pairs(rates, 20)
            if rates
            else pairs({key: value for key, value in aim.items() if key not in ("name", "kind")})
        )
        yield "profile.target", f"target {line(aim.get('name'), 60)}: {told}"
    for key, told in (
        ("groups", "columns whose values repeat over rows (entities)"),
        ("time", "dates"),
        ("text", "texts"),
        ("leaks", "suspected of leaking"),
    ):
        if profile.get(key):
            yield f"profile.{key}", f"{told}: {compact(profile[key], 400)}"
    if (repeated := profile.get("duplicates", {})).get("rows"):
        yield "profile.duplicates", f"rows whose features repeat another's: {pairs(repeated)}"


def column_items(profile: dict[str, Any]) -> list[Item]:
    """The columns that tell most, at most N_COLUMNS, in the table's order."""
    columns = profile.get("columns", [])
    ranked = sorted(
        range(len(columns)), key=lambda index: (-(columns[index].get("strength") or 0.0), index)
    )[:N_COLUMNS]
    return numbered(
        "C",
        (
            (f"columns.{line(columns[index]['name'], 60)}", column(columns[index]))
            for index in sorted(ranked)
        ),
    )


def column(item: dict[str, Any]) -> str:
    """name kind(dtype): range, missing, levels, strength, drift, examples."""
    told = [
        f"{line(json.dumps(item['name'], ensure_ascii=False), 60)} {item['kind']}/{line(item.get('dtype'), 20)}"
    ]
    if "min" in item:
        told.append(
            f"{number(item['min'])}..{number(item.get('max'))} mean {number(item.get('mean'))} skew {number(item.get('skew'))}"
        )
    told.append(f"{number(item.get('n_unique'))} values")
    if item.get("missing") or item.get("missing_test"):
        told.append(
            f"missing {share(item.get('missing'))} (test {share(item.get('missing_test'))})"
        )
    if item.get("strength") is not None:
        told.append(f"alone {item['strength']:.2f}")
    told += [f"drift {item['drift']:.2f}"] if (item.get("drift") or 0) > 0.05 else []
    told += [f"unseen in train {share(item['unseen'])} of test"] if item.get("unseen") else []
    told += ["CONSTANT in test"] if item.get("constant_test") else []
    told += ["ABSENT from test"] if item.get("absent_test") else []
    told += [f"{number(item['mean_chars'])} characters"] if "mean_chars" in item else []
    examples = ", ".join(
        line(json.dumps(value, ensure_ascii=False), 40) for value in item.get("examples", [])[:3]
    )
    return "; ".join(told) + (f"; e.g. {examples}" if examples else "")


def share(value: Any) -> str:
    return "-" if value is None else f"{value:.1%}"


# attempts and memory


def failure_items(evidence: dict[str, Any]) -> list[Item]:
    """Why an attempt failed, a line each."""
    given = evidence.get("error")
    found = (
        [line(f"{given.get('type')}: {given.get('message')}", 400)]
        if isinstance(given, dict)
        else []
    )
    return [
        Item("failed:", "", text)
        for text in [*found, *(line(text, 400) for text in evidence.get("problems", [])[:3])]
    ]


def fact_line(fact: Fact, *, short: bool = False) -> str:
    """`t0s3 features: statement | predicted better/small 60% sure | measured +0.004 ± 0.001 | ACCEPTED`; in short without prediction and reasons."""
    if short:
        gain = f" {signed(fact.gain)} ± {noise(fact.gain_se)}" if fact.gain is not None else ""
        score = f" (score {number(fact.score)})" if fact.score is not None else ""
        return f"{place(fact)}: {line(fact.hypothesis, 120)} | {fact.verdict.upper()}{gain}{score}"
    told = [f"{place(fact)}: {line(fact.hypothesis, 220)}"]
    if fact.predicted:
        sure = f" {fact.confidence:.0%} sure" if fact.confidence is not None else ""
        told.append(
            f"predicted {('worse', 'no change', 'better')[fact.predicted.sign + 1]}/{fact.predicted.size}{sure}"
        )
    if fact.gain is not None:
        told.append(f"measured {signed(fact.gain)} ± {noise(fact.gain_se)}")
    if fact.score is not None:
        told.append(f"score {number(fact.score)}")
    told.append(
        f"{fact.verdict.upper()}{': ' + line(fact.why, 200) if fact.why and fact.verdict != 'accepted' and fact.gain is None else ''}"
    )
    if fact.cause or fact.fix:
        mended = "" if fact.verdict == "failed" else "it crashed at first and was repaired, "
        told.append(
            f"{mended}cause: {line(fact.cause, 200)} | {'fix proposed' if not mended else 'fix'}: {line(fact.fix, 200)}"
        )
    return " | ".join(told)


def place(fact: Fact) -> str:
    return f"{line(fact.attempt, 20)} {line(fact.component, 20)}".strip()


def hint_line(hint: Hint) -> str:
    helped = "HELPED" if hint.kind == "accepted" else "DID NOT HELP"
    told = f"{helped} ({signed(hint.gain)} ± {noise(hint.gain_se)} SE, weight {hint.weight:+.2f}) {line(hint.component, 20)}: {line(hint.hypothesis, 260)}"
    against = f" | against: {line(hint.challenge, 160)}" if hint.challenge else ""
    where = f" | from {line(hint.where, 120)}" + (
        f", attempt {hint.attempt}" if hint.attempt else ""
    )
    return told + against + where
