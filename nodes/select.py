"""select: which step next, from which solution.  The policy's choice, before any cost."""

from __future__ import annotations

import random
from typing import Any

from graph.policy import POLICIES, Choice, View
from graph.run import Run, open_run
from graph.state import Trace, TraceState, Work
from graph.work import begin

HISTORY = 200  # attempts that a policy looks back at


async def select(state: TraceState) -> dict[str, Any]:
    run, row = open_run(state["run_dir"]), state["row"]
    rng = random.Random(f"{run.settings.seed}/{row['trace']}/{row['step']}")
    told = row.get("told") if row["best"] else None
    choice = chosen(row) if told else POLICIES[run.settings.policy](view(run, row), rng)
    base = run.attempt(choice.base) if choice.base else None
    work = begin(row, choice, base["id"] if base else None)
    if base and choice.mode == "broaden" and row["diagnosis"]:
        work["diagnosis"] = row["diagnosis"]
    if base and choice.mode == "debug":
        work |= Work(
            script=base["script"], grade=base["grade"], execution=base["execution"], reasons=base["reasons"], hypothesis=base["hypothesis"]
        )
    if told:
        return {"work": work | {"diagnosis": told}, "row": row | {"told": None}}
    return {"work": work}


def chosen(row: Trace) -> Choice:
    """A person's choice goes before the policy's, once."""
    return Choice("broaden", row["best"]["ref"] if row["best"] else None, "chosen by a person")


def view(run: Run, row: Trace) -> View:
    return View(
        attempts=run.chain(row["head"], limit=HISTORY),
        best=row["best"]["ref"] if row["best"] else None,
        open_hypotheses=n_open(run, row),
        direction=run.prepared.task.direction,
    )


def n_open(run: Run, row: Trace) -> int:
    if not row["diagnosis"]:
        return 0
    found = run.artifacts.get_json(row["diagnosis"])["hypotheses"]
    return sum(hypothesis["id"] not in row["tried"] for hypothesis in found)
