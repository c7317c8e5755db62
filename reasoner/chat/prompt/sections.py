"""The sections of a prompt, each within its budget."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Literal

from reasoner.chat.prompt import numbered_facts as facts
from reasoner.chat.prompt.text import (
    code,
    duration,
    fenced,
    line,
    n_tokens,
    noise,
    number,
    signed,
    size,
)
from reasoner.protocol import (
    Brief,
    Crossover,
    Diagnosis,
    Fact,
    Hypothesis,
    Quote,
    RepairBrief,
    Resources,
)

BUDGET = {
    "description": 2500,
    "preview": 1200,
    "facts": 900,
    "columns": 3000,
    "path": 900,
    "history": 2200,
    "others": 900,
    "in_flight": 300,
    "said": 500,
    "siblings": 400,
    "calibration": 300,
    "script": 10_000,
    "log": 900,
    "evidence": 2000,
    "last": 1200,
    "diff": 1200,
    "diagnosis": 1200,
    "hypotheses": 1500,
    "hints": 1000,
    "quote": 4000,
    "quotes": 8000,
    "partner": 6000,
    "lacks": 800,
    "members": 700,
    "problems": 600,
    "error": 900,
    "earlier": 500,
}
"""Tokens (about) of each section; the whole prompt is bounded by their sum."""
SHARE: ContextVar[float] = ContextVar("share", default=1.0)
"""Of every budget, for models that read little at a time."""
N_FULL = 10  # latest attempts told in full; those before them in short
N_STUCK = 3  # attempts without success from which a change of approach is asked for


def budget(section: str) -> int:
    """Tokens of a section at the present share."""
    return max(60, int(BUDGET[section] * SHARE.get()))


def cut(lines: Sequence[str], section: str, *, keep: Literal["start", "end"] = "start") -> str:
    """As many lines as the budget holds, as a list; says how many are left out."""
    order = list(lines) if keep == "start" else list(lines)[::-1]
    kept: list[str] = []
    left = budget(section)
    for text in order:
        left -= n_tokens(text) + 2
        if left < 0:
            break
        kept.append(f"- {text}")
    more = (
        [f"- [{len(order) - len(kept)} {'more' if keep == 'start' else 'earlier ones'} left out]"]
        if len(kept) < len(order)
        else []
    )
    return "\n".join([*kept, *more] if keep == "start" else [*more, *kept[::-1]])


# the task


PREDICTIONS = {
    "probability": " The prediction is a probability (0..1), not a label.",
    "label": " The prediction is a class label as it stands in the training table, not a probability.",
}


def task(brief: Brief) -> dict[str, str]:
    given = brief.task
    kinds = {
        "binary": "Binary classification",
        "multiclass": "Classification into several classes",
        "regression": "Regression",
    }
    return {
        "name": line(given.name, 80),
        "kind": kinds.get(given.kind, line(given.kind, 40)),
        "metric": line(given.metric.rpartition("/")[2], 80),
        "better": "higher" if given.direction == "max" else "lower",
        "target": ", ".join(f"`{line(name, 60)}`" for name in given.target[:20]),
        "id": f"`{line(given.id, 60)}`",
        "columns": ", ".join(f"`{line(name, 60)}`" for name in given.columns[:40])
        + (f" and {len(given.columns) - 40} more" if len(given.columns) > 40 else ""),
        "prediction": PREDICTIONS.get(given.prediction, ""),
        "n_train": f"{given.n_train:,}",
        "n_test": f"{given.n_test:,}",
        "split": split(given.split),
    }


def split(given: dict[str, Any]) -> str:
    kind, column = given.get("kind"), line(given.get("column") or "", 60)
    told = {
        "stratified": "stratified by the target",
        "random": "at random",
        "group": f"whole groups of `{column}` together",
        "time": f"blocks in the order of `{column}`; train on earlier ones only",
        "file": "given by the task",
    }
    return f"{given.get('n_folds', 5)}, {told.get(str(kind), line(kind, 40))}"


def columns(profile: dict[str, Any]) -> str:
    shown = facts.column_items(profile)
    total = max(int(profile.get("n_columns", 0)), len(profile.get("columns", [])))
    text = cut([f"{item.id} {item.text}" for item in shown], "columns")
    return text + (
        f"\n- [{total - len(shown)} further columns: {kinds_of(profile)}]"
        if total > len(shown)
        else ""
    )


def kinds_of(profile: dict[str, Any]) -> str:
    """All columns counted by kind, with the range of their names."""
    names: dict[str, list[str]] = {}
    for item in profile.get("columns", []):
        names.setdefault(str(item["kind"]), []).append(line(item["name"], 40))
    return "in all " + ", ".join(
        f"{len(found)} {kind} (`{found[0]}` … `{found[-1]}`)" for kind, found in names.items()
    )


def resources(given: Resources) -> dict[str, str]:
    gpus = (
        f"GPUs: {', '.join(line(name, 60) for name in given.gpus[:8])}" if given.gpus else "no GPU"
    )
    packages = ", ".join(
        f"{line(name, 40)} {line(version, 20)}"
        for name, version in list(given.packages.items())[:80]
    )
    return {
        "wall": duration(given.wall_s),
        "memory": size(given.memory_bytes),
        "cpus": f"{given.cpus} CPU core{'s' if given.cpus != 1 else ''}",
        "gpus": gpus,
        "packages": packages or "nothing is known to be",
    }


# where the run stands


GOALS = {
    "draft": "There is no valid script yet: a correct one comes first.",
    "improve": "Improve the best by changes that can be measured beyond noise.",
    "ensemble": "The budget nears its end: combine what is proven rather than start something new.",
}


def stage(brief: Brief) -> dict[str, str]:
    given = brief.stage
    told = [
        f"Trace {given.trace} of {given.n_traces}, step {given.step}; {given.used:.0%} of the budget is used"
    ]
    told += (
        [f"{given.steps_left} step{'s' if given.steps_left != 1 else ''} left, this one included"]
        if given.steps_left is not None
        else []
    )
    told += (
        [f"{duration(given.time_left_s)} left for the whole run"]
        if given.time_left_s is not None
        else []
    )
    best = (
        f" The trace's best scores {number(given.best)} ± {noise(given.best_se)} SE."
        if given.best is not None
        else ""
    )
    return {"where": ", ".join(told) + "." + best, "goal": GOALS[given.phase]}


def history(given: Sequence[Fact]) -> str:
    """The latest in full, those before in short, failures always with cause and fix."""
    older = [facts.fact_line(fact, short=fact.verdict != "failed") for fact in given[:-N_FULL]]
    return cut(
        [*older, *(facts.fact_line(fact) for fact in given[-N_FULL:])], "history", keep="end"
    )


def tally(brief: Brief) -> str:
    told = []
    for item in brief.tally[:8]:
        gain = f", best {signed(item.best_gain)}" if item.best_gain is not None else ""
        told.append(
            f"{line(item.component, 20) or 'drafts'} {item.tried} tried, {item.accepted} accepted, {item.failed} failed{gain}"
        )
    return "; ".join(told)


def stuck(brief: Brief) -> str:
    """What a row of failures asks for: another approach, not another variation."""
    since = []
    for fact in reversed(brief.history):
        if fact.verdict == "accepted":
            break
        since.append(fact)
    if len(since) < N_STUCK:
        return ""
    parts = ", ".join(dict.fromkeys(fact.component or "draft" for fact in reversed(since)))
    return (
        f"The last {len(since)} attempts ({parts}) all failed to beat the best. More variations of them will not either: "
        "change the approach (another model family, representation of the data, target or loss), or a component not among them."
    )


# the gradient


def attention(scenario: int) -> str:
    """Attention moves from the problem to the evidence as the trace matures."""
    return {
        3: "Little has been measured yet. Reason mainly from the task and its data: what would a specialist of this domain and metric do that this script does not?",
        2: "Reason from the task and its data first, then check it against what has been measured so far.",
        1: "Reason from the measured evidence and the history first; return to the task and its data for what they leave open.",
        0: "Much has been measured. Reason from the evidence and the history alone; general advice that they do not support is worth nothing now.",
    }[scenario]


def diagnosis(given: Diagnosis) -> str:
    seen = [
        f"{line(item.text, 300)}{' [' + ', '.join(item.cites[:6]) + ']' if item.cites else ''}"
        for item in given.observations[:8]
    ]
    causes = [f"cause: {line(text, 300)}" for text in given.causes[:5]]
    return cut([*seen, *causes], "diagnosis") or "- none given"


def hypothesis(given: Hypothesis) -> str:
    effect = f"{('worse', 'no change', 'better')[given.effect.sign + 1]}/{given.effect.size}, {given.confidence:.0%} sure, cost {given.cost}"
    told = [f"**{line(given.id, 40)}** ({given.component}; {effect}): {line(given.statement, 400)}"]
    told += [f"against: {line(given.challenge, 300)}"] if given.challenge else []
    told += [f"plan: {line(given.plan, 700)}"] if given.plan else []
    told += [f"refuted by: {line(given.refuted_by, 200)}"] if given.refuted_by else []
    return " | ".join(told)


def quotes(given: Sequence[Quote]) -> list[dict[str, str]]:
    """Scripts and changes word for word, as long as there is room."""
    found, left = [], budget("quotes")
    for quote in given:
        room = min(budget("quote") * 2 if quote.what == "script" else budget("quote") // 2, left)
        if room < 200:
            break
        text = (
            code(quote.text, room) if quote.what == "script" else fenced(quote.text, room, "diff")
        )
        left -= n_tokens(text)
        what = "The script" if quote.what == "script" else "The change"
        what += f" of attempt {line(quote.attempt, 20)}" if quote.attempt else " of another run"
        found.append(
            {"title": f"{what}{': ' + line(quote.why, 240) if quote.why else ''}", "text": text}
        )
    return found


def member(fact: Fact) -> str:
    return f"{line(fact.attempt, 20)}: {line(fact.summary or fact.hypothesis, 160)} | score {number(fact.score)}"


def crossover(given: Crossover | None) -> dict[str, str] | None:
    if given is None:
        return None
    return {
        "lacks": cut([facts.fact_line(fact) for fact in given.lacks], "lacks")
        or "- nothing is listed; compare the two scripts",
        "partner": code(given.partner, budget("partner")) if given.partner.strip() else "",
        "summary": line(given.summary, 200),
    }


# failures


def error(evidence: dict[str, Any]) -> str:
    given = evidence.get("error")
    if not isinstance(given, dict):
        return ""
    where = f", line {number(given['line'])} of the script" if given.get("line") else ""
    head = f"It ended by `{line(given.get('end'), 40)}` (exit code {number(given.get('exit_code'))}): {line(given.get('type'), 80)}{where}."
    text = "\n".join(str(given[key]) for key in ("traceback_tail", "message") if given.get(key))
    return f"{head}\n{fenced(text, budget('error'))}" if text.strip() else head


def limit_hit(brief: RepairBrief) -> str:
    """timeout, memory, or neither."""
    end = str((brief.evidence.get("error") or {}).get("end", ""))
    text = " ".join(brief.problems).lower()
    if end == "timeout" or "time limit" in text:
        return "timeout"
    return "memory" if end == "memory" or "memory limit" in text or "memoryerror" in text else ""
