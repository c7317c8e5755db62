"""The all-reduce of successes: a measured hypothesis enters the shared memory as soon as its attempt is recorded.

So a trace in the middle of its visit recalls what another has just measured; the merge only tells how many there were.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from typing import Any

from memory.protocol import Record
from run.run import Json, Run

N_NOTES = 4
FACT_CHARS = 120


async def share(run: Run, attempt: Json) -> None:
    """Accepted hypotheses enter the memory as successes, measurably worse ones as refuted; crashes, ties and leaks do not."""
    if measured(attempt):
        await asyncio.to_thread(run.memory.record, record_of(run, attempt))


def measured(attempt: Json) -> bool:
    """Judged by the paired difference with the solution that was changed, and by that alone.

    What was rejected in spite of a gain was found out with hidden rows, of which nothing may enter; a crossover is several hypotheses at once; and what started
    from an earlier solution than the best and lost to the best may still have helped there.
    """
    if (
        not attempt["hypothesis"]
        or attempt["gain"] is None
        or attempt["problems"]
        or attempt["mode"] == "crossover"
    ):
        return False
    lost = (
        attempt["verdict"] == "rejected" and attempt["gain"] < 0 and attempt.get("from_best", True)
    )
    return attempt["verdict"] == "accepted" or bool(lost)


def record_of(run: Run, attempt: Json) -> Record:
    hypothesis, task = attempt["hypothesis"], run.prepared.task
    parent = parent_of(run, attempt)
    diff = change(run, parent, attempt)
    return Record(
        kind="accepted" if attempt["verdict"] == "accepted" else "refuted",
        challenge=hypothesis["challenge"],
        hypothesis=hypothesis["statement"],
        component=hypothesis["component"],
        move=hypothesis["move"],
        context=preconditions(run, parent, hypothesis),
        task_hash=run.prepared.data_hash,
        task_kind=task.kind,
        metric=task.metric,
        gain=attempt["gain"],
        gain_se=attempt["gain_se"],
        left=loss_left(task.metric, task.direction, attempt["score"], attempt["gain"]),
        script_ref=attempt["script"] or "",
        diff_ref=run.artifacts.put(diff) if diff else "",
        diff=diff,
        run=run.id,
        trace=attempt["trace"],
        step=attempt["step"],
        reasoner=run.reasoner.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def parent_of(run: Run, attempt: Json) -> Json | None:
    """The attempt that this one changed: in its own trace, or the best of another that the trace was restarted from."""
    base = attempt.get("base")
    return run.attempt(base) if base else None


def change(run: Run, parent: Json | None, attempt: Json) -> str:
    """The change as a unified diff."""
    if parent is None or not parent["script"] or not attempt["script"]:
        return ""
    old, new = (run.artifacts.get(item["script"]).splitlines() for item in (parent, attempt))
    return "\n".join(difflib.unified_diff(old, new, parent["id"], attempt["id"], lineterm="", n=1))


def loss_left(metric: str, direction: str, score: float | None, gain: float) -> float | None:
    """Share of the loss that is left after the change, against the metric's perfect value; None for a metric of the user's own."""
    if score is None or "/" in metric:
        return None
    perfect, before = (1.0, score - gain) if direction == "max" else (0.0, score + gain)
    was, now = abs(before - perfect), abs(score - perfect)
    return round(now / was, 6) if was > 0 else None


def preconditions(run: Run, parent: Json | None, hypothesis: Json) -> str:
    """Facts of profile and evidence that held, in words. An evaluation's records name no columns."""
    profile, prepared = run.setup["profile"], run.prepared
    size = f"{prepared.task.kind}, {prepared.n_train} training rows, {profile.get('n_columns', '?')} columns"
    facts = [size, f"{prepared.task.split.kind} split"]
    if parent is not None and parent["evidence"]:
        evidence = run.artifacts.get_json(parent["evidence"])
        facts += [
            fact for path in hypothesis.get("cites", [])[:4] if (fact := cited(evidence, path))
        ]
    if not run.settings.evaluation:
        facts += [str(note) for note in profile.get("notes", [])[:N_NOTES]]
    return "; ".join(facts)


def cited(evidence: Json, path: str) -> str:
    """`residuals.skew 1.9`: the value that a path such as `segments[0].ratio` leads to; empty where it leads nowhere."""
    value: Any = evidence
    for key in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return ""
    return f"{path} {shown(value)}"[:FACT_CHARS]


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {shown(item)}"
            for key, item in value.items()
            if not isinstance(item, (dict, list))
        )
    return str(value) if isinstance(value, (str, int)) else json.dumps(value, default=str)
