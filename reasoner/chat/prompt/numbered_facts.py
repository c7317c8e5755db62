"""A brief's facts as numbered lines: what a prompt shows, and what an answer may cite.

Evidence of the script is E1, E2, …; of the latest attempt L1, …; facts of the data P1, …; columns
C1, …; memory M1, …; recipes F1, …. Attempts have their own ids (t0s3). Every line has a path
(`segments[0]`), which a diagnosis stores.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from reasoner.chat.prompt.evidence_facts import PathsAndTexts, walk_evidence
from reasoner.chat.prompt.text import (
    key_value_text,
    number_text,
    percent_text,
    se_text,
    short_number,
    signed_text,
    single_line,
)
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Effect,
    Fact,
    Hint,
    StepBrief,
    UpdateBrief,
)

N_COLUMNS, N_TARGETS = 40, 11
LATEST_EVIDENCE = ("train", "line", "warnings", "resources", "notes")
LISTED = "listed in input/index.csv"  # of a note on the files of rows
MAX_EXAMPLE_CHARS = 80  # of a value that is quoted
MIN_MISSING_STRENGTH = 0.02  # of whether a value is missing, below which it is not mentioned
MIN_SHOWN = 0.05  # of strength and drift (0..1) of a column, below which they are not mentioned


class NumberedFact(NamedTuple):
    """One fact: its id in the prompt, its path, its text on one line."""

    id: str
    path: str
    text: str


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
        items += latest_items(brief.last)
    if isinstance(brief, StepBrief):
        hints = enumerate(untold_hints(brief), 1)
        items += [NumberedFact(f"M{index}", f"memory:{hint.id}", "") for index, hint in hints]
    if isinstance(brief, DiagnoseBrief):
        cards = enumerate(brief.recipes, 1)
        items += [NumberedFact(f"F{index}", f"recipe:{card.id}", "") for index, card in cards]
    claims = brief.ledger.claims
    items += [NumberedFact(claim.id, f"ledger:{claim.id}", "") for claim in claims]
    attempts = {fact.attempt for fact in [*brief.history, *brief.others]}
    attempts |= {name for claim in claims for name in claim.attempts}
    by_id = {item.id: item.path for item in items}
    by_path = {item.path: item.path for item in items}
    return by_id | by_path | {attempt: attempt for attempt in attempts}


def untold_hints(brief: StepBrief) -> list[Hint]:
    """Return what the memory recalls beyond the ledger, which holds this run's measurements."""
    told = {name for claim in brief.ledger.claims for name in claim.attempts}
    return [hint for hint in brief.hints if hint.attempt not in told]


# evidence


def evidence_items(evidence: dict[str, Any], prefix: str = "E") -> list[NumberedFact]:
    """Return what was measured of a script (task.types.EVIDENCE)."""
    return number_items(prefix, walk_evidence(evidence))


def latest_items(last: dict[str, Any]) -> list[NumberedFact]:
    """Return of the latest attempt, which was not the best, what its title does not tell."""
    shown = {key: last[key] for key in LATEST_EVIDENCE if key in last}
    return evidence_items(shown, "L")


# the data


def data_items(profile: dict[str, Any]) -> list[NumberedFact]:
    """Return what is known of the data as a whole (task.types.PROFILE)."""
    return number_items("P", _data_facts(profile))


def _data_facts(profile: dict[str, Any]) -> PathsAndTexts:
    """Facts of the whole table; what the notes say in words is not repeated."""
    notes = [str(note) for note in profile.get("notes", [])[:10]]
    for index, note in enumerate(notes):
        if LISTED not in note:  # the preview says it
            yield f"profile.notes[{index}]", note
    if target := profile.get("target"):
        yield "profile.target", _target_line(target)
    for index, target in enumerate(profile.get("targets", [])[:N_TARGETS]):
        yield f"profile.targets[{index}]", _target_line(target)
    for time in profile.get("time", [])[:5]:
        if not time.get("test_after_train"):  # otherwise a note tells
            order = "rows in its order" if time.get("sorted") else "rows in no order of it"
            text = f"dates in {_name(time)}: {order}, test not after train"
            yield f"profile.time.{time.get('column')}", text
    duplicates = profile.get("duplicates", {})
    if conflicting := duplicates.get("with_conflicting_target"):
        text = f"{percent_text(conflicting)} of the training rows repeat others with another target"
        yield "profile.duplicates", text


def _name(item: dict[str, Any]) -> str:
    return single_line(json.dumps(item.get("column"), ensure_ascii=False), 60)


def _target_line(target: dict[str, Any]) -> str:
    return f"target {single_line(target.get('name'), 60)}: {_target_text(target)}"


def _target_text(target: dict[str, Any]) -> str:
    if target.get("kind") == "text":
        examples = [single_line(json.dumps(text), 130) for text in target.get("examples", [])]
        numbers = {key: value for key, value in target.items() if isinstance(value, (int, float))}
        return f"texts; {key_value_text(numbers)}; e.g. {' / '.join(examples)}"
    if rates := target.get("rates"):
        return "share of the rows by class: " + key_value_text(rates, 20)
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
    """Return `name type; range; values; missing; strength; drift; …; e.g. examples`."""
    name = single_line(json.dumps(item["name"], ensure_ascii=False), 60)
    dtype = single_line(item.get("dtype"), 20)
    is_number = item["kind"] == "numeric" and dtype.startswith(("int", "uint", "float"))
    parts = [f"{name} {dtype if is_number else item['kind'] + ' ' + dtype}"]
    if "min" in item:
        low, high = number_text(item["min"]), number_text(item.get("max"))
        mean, skew = short_number(item.get("mean"), 3), short_number(item.get("skew"), 2)
        parts.append(f"{low}..{high}, mean {mean}, skew {skew}")
    parts.append(f"{number_text(item.get('n_unique'))} values")
    if item.get("missing") or item.get("missing_test"):
        in_test = percent_text(item.get("missing_test"))
        parts.append(f"missing {percent_text(item.get('missing'))} (test {in_test})")
        if (item.get("missing_strength") or 0) > MIN_MISSING_STRENGTH:
            parts.append(f"missingness alone {item['missing_strength']:.2f}")
    if (item.get("strength") or 0) >= MIN_SHOWN:
        parts.append(f"alone {item['strength']:.2f}")
    parts += _train_test_differences(item)
    if "mean_chars" in item:
        parts.append(f"{short_number(item['mean_chars'], 3)} characters on average")
    is_whole = is_number and not dtype.startswith("float")  # its range says what it looks like
    values = [] if is_whole and "min" in item else item.get("examples", [])[:3]
    examples = [
        single_line(value, 40)
        if is_number
        else json.dumps(single_line(value, MAX_EXAMPLE_CHARS), ensure_ascii=False)
        for value in values
    ]
    return "; ".join(parts) + (f"; e.g. {', '.join(examples)}" if examples else "")


def _train_test_differences(item: dict[str, Any]) -> list[str]:
    parts = []
    if (item.get("drift") or 0) >= MIN_SHOWN:
        parts.append(f"drift {item['drift']:.2f}")
    if item.get("unseen"):
        parts.append(f"unseen in train {percent_text(item['unseen'])} of test")
    if item.get("constant_test"):
        parts.append("CONSTANT in test")
    if item.get("absent_test"):
        parts.append("ABSENT from test")
    return parts


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
