"""select: which step next, from which solution.  The policy's choice, before any cost."""

from __future__ import annotations

import random
from typing import Any

from briefs.ask import begin
from briefs.brief import HISTORY
from graph.state import Trace, TraceState, Work
from policies.protocol import Choice, View
from policies.registry import POLICIES
from run.run import Run, open_run
from run.steering import understood


async def select(state: TraceState) -> dict[str, Any]:
    run, row = open_run(state["run_dir"]), state["row"]
    rng = random.Random(f"{run.settings.seed}/{row['trace']}/{row['step']}")
    told = understood(run, row) if row["best"] else None
    policy = run.policy or POLICIES[run.settings.policy]
    choice = (chosen(row) if told else crossing(row)) or policy(
        view(run, row, state["siblings"]), rng
    )
    base = run.attempt(choice.base) if choice.base else None
    work = begin(row, choice, base["id"] if base else None)
    if base and choice.mode == "broaden" and row["diagnosis"]:
        work["diagnosis"] = row["diagnosis"]
    if choice.mode == "crossover":
        work["diagnosis"] = run.artifacts.put_json(
            run.artifacts.get_json(str(row["cross"]))["diagnosis"]
        )
    if base and choice.mode == "debug":
        work |= Work(
            script=base["script"],
            grade=base["grade"],
            execution=base["execution"],
            reasons=base["reasons"],
            hypothesis=base["hypothesis"],
        )
    if told:
        return {"work": work | {"diagnosis": told}, "row": row | {"told": None}}
    return {"work": work}


def chosen(row: Trace) -> Choice:
    """A person's choice goes before the policy's, once."""
    return Choice("broaden", row["best"]["ref"] if row["best"] else None, "chosen by a person")


def crossing(row: Trace) -> Choice | None:
    """What the merge asked of a rescued trace comes before any policy."""
    if row["cross"] is None or row["best"] is None:
        return None
    return Choice(
        "crossover", row["best"]["ref"], "stuck: combine the best with what the other traces proved"
    )


def view(run: Run, row: Trace, siblings: list[str]) -> View:
    shared = siblings if run.settings.sharing else []
    return View(
        attempts=run.gists(row["head"], limit=HISTORY),
        best=row["best"]["ref"] if row["best"] else None,
        open_hypotheses=n_open(run, row),
        direction=run.prepared.task.direction,
        tried=len(row["tried"]),
        others=[attempt for head in shared for attempt in run.gists(head, limit=HISTORY)],
        steps=run.settings.steps,
    )


def n_open(run: Run, row: Trace) -> int:
    if not row["diagnosis"]:
        return 0
    found = run.artifacts.get_json(row["diagnosis"])["hypotheses"]
    return sum(hypothesis["id"] not in row["tried"] for hypothesis in found)
