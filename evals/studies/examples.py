"""`make eval-examples`: every example over three seeds; does the final submission beat the first draft on the private rows?

python -m evals.studies.examples [--examples modechoice,co2] [--seeds 3] [--traces 2] [--steps 6] [--out docs/results/examples.md]
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from evals.harness.common import Result, run_options, solve, write_page
from graph.settings import Settings
from task.load.examples import EXAMPLES

DEFAULT = ",".join(EXAMPLES)


def main() -> None:
    options = run_options(__doc__ or "", DEFAULT, traces=2, steps=6, seeds=3)
    results: list[Result] = []
    lines = [HEAD]
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="gome-eval-") as temporary:
        for example in options.examples.split(","):
            for seed in range(options.seeds):
                settings = Settings(
                    traces=options.traces,
                    steps=options.steps,
                    time_s=options.time,
                    seed=seed,
                    memory="off",
                    runs_dir=f"{temporary}/runs",
                )
                results.append(asyncio.run(solve(example, Path(temporary) / example, settings)))
                lines.append(row(results[-1]))
                print(lines[-1], flush=True)
    lines.append(
        f"\nimproved on the private rows: {sum(result.improved for result in results)} of {len(results)} runs"
    )
    print(lines[-1])
    write_page(
        options.out, "First draft and final submission", "python -m evals.studies.examples", lines
    )


HEAD = f"{'example':14} {'seed':>4} {'metric':>10} {'draft cv':>10} {'final cv':>10} {'draft priv':>11} {'final priv':>11} {'accepted':>9}  improved"


def row(result: Result) -> str:
    def number(value: float | None, width: int) -> str:
        return f"{'none' if value is None else format(value, '.5g'):>{width}}"

    return (
        f"{result.example:14} {result.seed:4} {result.outcome.metric:>10} {number(result.draft_score, 10)} {number(result.outcome.score, 10)}"
        f" {number(result.draft_private, 11)} {number(result.final_private, 11)} {result.n_accepted:4} of {result.n_attempts:2}"
        f"  {'yes' if result.improved else 'NO'}"
    )


if __name__ == "__main__":
    main()
