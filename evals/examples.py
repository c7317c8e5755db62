"""`make eval`: every example over three seeds; does the final submission beat the first draft on the private rows?

python -m evals.examples [--examples modechoice,co2] [--seeds 3] [--traces 2] [--steps 8]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from evals.common import Result, solve
from graph.settings import Settings
from task.examples import EXAMPLES

DEFAULT = ",".join(EXAMPLES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", default=DEFAULT)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--traces", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--time", type=float, default=300, help="seconds per run")
    options = parser.parse_args()
    results: list[Result] = []
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
                print(row(results[-1]), flush=True)
    print(f"\nimproved on the private rows: {sum(result.improved for result in results)} of {len(results)} runs")


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
