"""`make eval-examples`: does the final submission beat the first draft on the private rows?

python -m evals.studies.examples [--examples modechoice,co2] [--seeds 3] [--traces 2] [--steps 6]
                                 [--out docs/results/examples.md]

Every example over three seeds.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path

from evals.harness.common import (
    ExampleResult,
    parse_run_options,
    solve_example,
    write_results_page,
)
from graph.settings import Settings
from task.load.examples import EXAMPLES

DEFAULT = ",".join(EXAMPLES)


def main() -> None:
    options = parse_run_options(__doc__ or "", DEFAULT, traces=2, steps=6, seeds=3)
    results: list[ExampleResult] = []
    lines = [HEAD]
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="gome-eval-") as temporary:
        for example, seed in itertools.product(options.examples.split(","), range(options.seeds)):
            settings = Settings(
                traces=options.traces,
                steps=options.steps,
                time_s=options.time,
                seed=seed,
                memory="off",
                runs_dir=f"{temporary}/runs",
            )
            place = Path(temporary) / example
            results.append(asyncio.run(solve_example(example, place, settings)))
            lines.append(result_line(results[-1]))
            print(lines[-1], flush=True)
    n_improved = sum(result.is_improved for result in results)
    lines.append(f"\nimproved on the private rows: {n_improved} of {len(results)} runs")
    print(lines[-1])
    write_results_page(
        options.out, "First draft and final submission", "python -m evals.studies.examples", lines
    )


HEAD = (
    f"{'example':14} {'seed':>4} {'metric':>10} {'draft cv':>10} {'final cv':>10} "
    f"{'draft priv':>11} {'final priv':>11} {'accepted':>9}  improved"
)


def result_line(result: ExampleResult) -> str:
    """Return the result as one line of the table."""

    def number(value: float | None, width: int) -> str:
        return f"{'none' if value is None else format(value, '.5g'):>{width}}"

    outcome = result.outcome
    parts = [
        f"{result.example:14} {result.seed:4} {outcome.metric:>10}",
        number(result.draft_score, 10),
        number(outcome.score, 10),
        number(result.draft_private, 11),
        number(result.final_private, 11),
        f"{result.n_accepted:4} of {result.n_attempts:2} ",
        "yes" if result.is_improved else "NO",
    ]
    return " ".join(parts)


if __name__ == "__main__":
    main()
