"""Prompt sizes over a long run: the recorded attempts repeated to hundreds of steps, briefs gathered by the graph's own code.

python -m tools.prompt_sizes       # tokens by verb at steps 1, 50 and 300
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from briefs import excerpts as quotes
from briefs.brief import base, scenario
from graph.settings import Settings
from graph.state import Best, Trace, new_trace
from reasoner.chat.prompt.render import messages
from reasoner.chat.prompt.text import n_tokens
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hint,
    RepairBrief,
    ReviewBrief,
    UpdateBrief,
)
from run.run import Run
from run.folder import make_run_folder
from tools.prompt_record import EXAMPLE, recorded

STEPS = (1, 50, 300)


def sizes(steps: tuple[int, ...] = STEPS) -> dict[str, list[int]]:
    """verb -> tokens (about) of system and user message at each of these steps."""
    return asyncio.run(measured(steps))


async def measured(steps: tuple[int, ...]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as place:
        run = long_run(Path(place))
        for n in steps:
            for verb, brief in briefs(run, grown(run, n)).items():
                found.setdefault(verb, []).append(
                    sum(n_tokens(message["content"]) for message in messages(verb, brief))
                )
    return found


def long_run(root: Path) -> Run:
    """An open run with the recorded set-up and no attempt yet."""
    make_run_folder(
        root / "run", EXAMPLE, Settings(steps=1000, traces=2, memory="off", runs_dir=str(root))
    )
    (root / "run" / "setup.json").write_text(json.dumps(recorded()["setup"]))
    return Run(root / "run")


def grown(run: Run, n: int) -> Trace:
    """A trace after n attempts: the recorded ones of trace 0, over and over under new ids, so that the same one is always the latest."""
    pattern = [one for one in recorded()["attempts"] if one["trace"] == 0]
    first = -n % len(pattern) if n >= len(pattern) else 0
    row = new_trace(0)
    for step in range(n):
        one = pattern[(first + step) % len(pattern)]
        refs = {
            name: run.artifacts.put(one[name])
            for name in ("script", "evidence", "log")
            if one.get(name)
        }
        parent = row["best"]["attempt"] if row["best"] else None
        record = (
            one | refs | {"id": f"t0s{step}", "step": step, "prev": row["head"], "parent": parent}
        )
        row = advanced(row, record, run.artifacts.put_json(record))
    return row


def advanced(row: Trace, record: dict[str, Any], ref: str) -> Trace:
    new = Trace(**row) | {
        "head": ref,
        "step": row["step"] + 1,
        "n_accepted": row["n_accepted"] + (record["verdict"] == "accepted"),
    }
    if record["replaces"]:
        new["best"] = Best(
            attempt=record["id"],
            trace=0,
            ref=ref,
            script=record["script"],
            score=record["score"],
            se=record["score_se"],
        )
    return new


def briefs(run: Run, row: Trace) -> dict[str, Brief]:
    """One brief per verb, as the nodes would gather them."""
    assert row["best"] is not None
    best, latest, common = (
        run.attempt(row["best"]["ref"]),
        run.attempt(str(row["head"])),
        base(run, row, []),
    )
    script, evidence = run.artifacts.get(best["script"]), run.artifacts.get_json(best["evidence"])
    kept = recorded()["briefs"]["t0s5 update"]
    hints = [Hint.model_validate(hint) for hint in kept["hints"]]
    return {
        "draft": DraftBrief(**common),
        "diagnose": DiagnoseBrief(
            **common,
            script=script,
            evidence=evidence,
            log=quotes.log(run, best["log"]),
            last=run.artifacts.get_json(latest["evidence"]),
            last_diff=quotes.change(run, best["script"], latest["script"]),
            scenario=scenario(row),
        ),
        "update": UpdateBrief(
            **common,
            script=script,
            evidence=evidence,
            log=quotes.log(run, best["log"]),
            diagnosis=Diagnosis.model_validate(kept["diagnosis"]),
            hints=hints,
            quotes=quotes.scripts(run, [row["head"]], [latest["id"], best["id"]]),
        ),
        "repair": RepairBrief(
            **common,
            script=script,
            evidence=evidence,
            problems=["the script crashed"],
            log=quotes.log(run, best["log"]),
        ),
        "review": ReviewBrief(**common, script=script),
    }


def main() -> None:
    print(
        "verb        "
        + "".join(f"step {step:<6}" for step in STEPS)
        + "(tokens, about, system and user message)"
    )
    for verb, counts in sizes().items():
        print(f"{verb:<12}" + "".join(f"{count:<11,}" for count in counts))


if __name__ == "__main__":
    main()
