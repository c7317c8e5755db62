"""Prompt sizes over a long run: the recorded attempts repeated to hundreds of steps.

python -m tools.prompt_sizes       # tokens by verb at steps 1, 50 and 300

The graph's own code gathers the briefs.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from briefs.brief import common_fields, scenario_weight
from briefs.excerpts import diff_artifacts, excerpt_log, quote_scripts
from graph.settings import Settings
from graph.state import Trace, Work
from reasoner.chat.prompt.render import prompt_messages
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
from run.attempt import Attempt, best_from, store_attempt
from run.folder import make_run_folder
from run.run import Run
from tools.prompt_record import EXAMPLE, load_recording

STEPS = (1, 50, 300)


def measure_prompt_sizes(steps: tuple[int, ...] = STEPS) -> dict[str, list[int]]:
    """Return verb -> approximate tokens of system and user message at each of these steps."""
    return asyncio.run(sizes_at_steps(steps))


async def sizes_at_steps(steps: tuple[int, ...]) -> dict[str, list[int]]:
    """Return verb -> tokens at each step, from one long run."""
    sizes: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as place:
        run = open_long_run(Path(place))
        for n in steps:
            for verb, brief in gather_briefs(run, grow_trace(run, n)).items():
                form = "step" if verb == "diagnose" else verb
                messages = prompt_messages(form, brief)
                n_total = sum(n_tokens(message["content"]) for message in messages)
                sizes.setdefault(verb, []).append(n_total)
    return sizes


def open_long_run(root: Path) -> Run:
    """Open a run with the recorded setup and no attempt yet."""
    settings = Settings(steps=1000, traces=2, memory="off", runs_dir=str(root))
    make_run_folder(root / "run", EXAMPLE, settings)
    (root / "run" / "setup.json").write_text(json.dumps(load_recording()["setup"]))
    return Run(root / "run")


def grow_trace(run: Run, n: int) -> Trace:
    """Return a trace after n attempts: trace 0's recorded ones, repeated under new ids.

    The same attempt is always the latest.
    """
    pattern = [attempt for attempt in load_recording()["attempts"] if attempt["trace"] == 0]
    first = -n % len(pattern) if n >= len(pattern) else 0
    trace = Trace(trace=0)
    for step in range(n):
        recorded = pattern[(first + step) % len(pattern)]
        texts = {name: recorded.get(name) for name in ("script", "evidence", "log")}
        refs = {name: run.artifacts.put(text) for name, text in texts.items() if text}
        place = {"id": f"t0s{step}", "step": step, "prev": trace.head}
        place["parent"] = trace.best.attempt if trace.best else None
        place["base"] = trace.best.ref if trace.best else None
        attempt = Attempt.model_validate({**recorded, **refs, **place})
        stored = store_attempt(run.artifacts, attempt)
        run.ledger.complete([stored])
        trace = append_attempt(trace, stored)
    return trace


def append_attempt(trace: Trace, attempt: Attempt) -> Trace:
    """Return the trace with one attempt more."""
    after = trace.evolve(
        head=attempt.ref,
        step=trace.step + 1,
        n_accepted=trace.n_accepted + (attempt.verdict == "accepted"),
    )
    return after.evolve(best=best_from(attempt)) if attempt.replaces else after


def gather_briefs(run: Run, trace: Trace) -> dict[str, Brief]:
    """Return one brief per verb, gathered as the nodes do."""
    assert trace.best is not None
    best, latest = run.attempt(trace.best.ref), run.attempt(str(trace.head))
    work = Work(attempt="t0s0", kind="update", mode="directed")
    common = common_fields(run, trace, work, [])
    seen: dict[str, Any] = {
        **common,
        "script": run.artifacts.get(str(best.script)),
        "evidence": run.artifacts.get_json(str(best.evidence)),
        "log": excerpt_log(run, best.log),
    }
    recorded = load_recording()["briefs"]["t0s5 update"]
    step = {
        "hints": [Hint.model_validate(hint) for hint in recorded["hints"]],
        "quotes": quote_scripts(run, [trace.head], [latest.id, best.id]),
    }
    return {
        "draft": DraftBrief(**common),
        "diagnose": DiagnoseBrief(
            **seen,
            **step,
            wants_change=True,
            last=run.artifacts.get_json(str(latest.evidence)),
            last_diff=diff_artifacts(run, best.script, latest.script),
            scenario=scenario_weight(trace),
        ),
        "update": UpdateBrief(
            **seen,
            **step,
            diagnosis=Diagnosis.model_validate(recorded["diagnosis"]),
        ),
        "repair": RepairBrief(**seen, problems=["the script crashed"]),
        "review": ReviewBrief(**common, script=seen["script"]),
    }


def main() -> None:
    head = "".join(f"step {step:<6}" for step in STEPS)
    print(f"verb        {head}(approximate tokens of system and user message)")
    for verb, counts in measure_prompt_sizes().items():
        print(f"{verb:<12}" + "".join(f"{count:<11,}" for count in counts))


if __name__ == "__main__":
    main()
