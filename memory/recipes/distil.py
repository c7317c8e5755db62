"""Proposed recipes from what many runs measured, by rules; a person reads, changes and adds them.

A hypothesis is proposed where it was measured on several tasks and its mean gain in noise units is
above zero beyond doubt. Ties enter no memory, so means are too high: a proposal is untested until
`gome recipes verify` has measured it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from memory.protocol import Record
from memory.recall import hypothesis_key
from memory.recipes.evidence import MOST_TASKS, Evidence, TaskGain
from memory.recipes.spec import CODE_LINES, RecipeError, parse_recipe
from memory.trust import gain_z_score, trust_level

MIN_TASKS = 3
LEVEL = 0.05
"""Of a proposal, which a person reads; that of a verdict is stricter."""
DIFF_CHARS = 2_400
N_CAUSES = 3
LOCAL_MOVES = ("drop:", "drop_leak:", "category_diff:")
"""Moves that name a column of one task."""


class Proposal(NamedTuple):
    """A recipe file that is proposed, and what it rests on."""

    name: str
    text: str
    evidence: Evidence


def propose_recipes(records: Sequence[Record]) -> list[Proposal]:
    """Return a proposal for every hypothesis that helped on several tasks, surest first."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if trust_level(record) == "quarantined" or (record.move or "").startswith(LOCAL_MOVES):
            continue
        groups[record.move or hypothesis_key(record)].append(record)
    found = [proposal for group in groups.values() if (proposal := _propose(group))]
    by_name = {item.name: item for item in sorted(found, key=lambda item: item.evidence.mean)}
    return sorted(by_name.values(), key=lambda item: -item.evidence.interval_at(LEVEL)[0])


def _propose(group: Sequence[Record]) -> Proposal | None:
    """Return the proposal of the measurements of one hypothesis; None where they do not suffice."""
    by_task: dict[str, list[float]] = defaultdict(list)
    for record in group:
        by_task[record.task_hash].append(gain_z_score(record))
    if len(by_task) < MIN_TASKS:
        return None
    gains = tuple(
        TaskGain(task=f"task-{i}", metric="SE", rows=1, seeds=1, gain=sum(z) / len(z), se=1)
        for i, z in enumerate(by_task.values())
    )
    evidence = Evidence(measured="", by="", tasks=gains[:MOST_TASKS])
    helped = [record for record in group if record.kind == "accepted"]
    if evidence.interval_at(LEVEL)[0] <= 0 or not helped:
        return None
    best = max(helped, key=gain_z_score)
    words = re.sub(r"[^a-z0-9]+", "-", best.hypothesis.lower()).strip("-")[:40].strip("-")
    name = f"own-{words or 'idea'}"
    text = f"---\n{_head(name, best, helped)}---\n{_body(best, group, evidence)}"
    try:
        parse_recipe(text, f"{name}.md")
    except RecipeError:  # a hypothesis in words that no recipe may have
        return None
    return Proposal(f"{name}.md", text, evidence)


def _head(name: str, best: Record, helped: Sequence[Record]) -> str:
    kinds = sorted({record.task_kind for record in helped} & {"binary", "multiclass", "regression"})
    metrics = {record.metric for record in helped}
    when: dict[str, Any] = {"task": kinds} if kinds else {}
    if len(metrics) == 1 and re.fullmatch(r"[a-z0-9_]{2,40}", (metric := metrics.pop())):
        when["metric"] = [metric]
    causes = Counter(" ".join(record.challenge.split())[:200] for record in helped)
    named = [cause for cause, _ in causes.most_common() if len(cause) >= 8][:N_CAUSES]
    title = " ".join(best.hypothesis.split())[:90]
    value = {
        "id": name,
        "title": title if len(title) >= 8 else f"{title} (own)",
        "component": best.component,
        "when": when,
        "causes": named or [title],
        **({"move": best.move} if best.move else {}),
    }
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _body(best: Record, group: Sequence[Record], evidence: Evidence) -> str:
    refuted = [record for record in group if record.kind == "refuted"]
    places = Counter(f"{record.task_kind}, {record.metric}" for record in refuted)
    failures = "; ".join(f"{place} ({n})" for place, n in places.most_common(4))
    low, high = evidence.interval_at(LEVEL)
    why = (
        f"Measured {len(group)} times by runs on {len(evidence.tasks)} tasks, mean gain "
        f"{evidence.mean:+.1f} SE [{low:+.1f}, {high:+.1f}]; ties are not counted. "
        f"Strongest where: {' '.join(best.context.split())[:240] or 'not told'}."
    )
    lines = [f"# {line}" for line in best.diff[:DIFF_CHARS].splitlines()][: CODE_LINES - 3]
    code = "\n".join(
        ["# The strongest change, to be written as steps of the plain script:", *lines]
    )
    what = " ".join(best.hypothesis.split())[:480]
    pitfalls = f"Refuted on: {failures}." if failures else "None measured yet."
    return (
        f"## What\n{_plain(what)}\n\n## Why\n{_plain(why)}\n\n## Pitfalls\n{_plain(pitfalls)}\n\n"
        f"## Code\n```python\n{code.replace('```', chr(39) * 3)}\n```\n"
    )


def _plain(text: str) -> str:
    """Return a line that is no heading."""
    return text.lstrip("# ") or "-"
