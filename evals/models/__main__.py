"""Compare what several agents make of one model: same tasks, seconds, tokens and grader.

python -m evals.models --model NAME --tasks tuning --dry-run     # what it would take
python -m evals.models --model NAME --tasks passengers,abalone   # two tasks, all contestants
python -m evals.models --model NAME --tasks ./my-task --contestants gome,gome:tree,bare
python -m evals.models --model NAME --tasks tuning --publish     # and write docs/results/models.md

Contestants:
  gome         Gome with its defaults; gome:PRESET with a preset (gome:gome, gome:tree, …)
  aide         AIDE, in an environment made once by: gome env create aide --with aideml==0.2.2
  bare         a bare coding agent: one conversation with a shell, no framework

All run their scripts in Gome's sandbox, without network, and never see the key or the answers. What
is handed over is scored by Gome's grader; an invalid submission is said to be, not scored.

Tasks are names of the suite (python -m evals.suite ls), the half `tuning`, examples (gome example),
or folders of your own with a slash; the answers of ./my-task are ./my-task-private/answers.csv.

The key is read from OPENAI_API_KEY or the variable of --key-env. A cell (a contestant on a task) is
stored when it ends and never repeated: Ctrl-C, or an endpoint that stops answering, leaves those
that are finished, and the same command goes on. Transcripts, submissions and the page are in the
folder of --out.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer
from pydantic import ValidationError

from cli.config import parse_changes
from evals.harness.pages import CACHE
from evals.models.aide_run import check_aide
from evals.models.contestants import GOES_ON, CellJob, run_cell
from evals.models.endpoint import check_endpoint, find_address, find_price, is_scripted
from evals.models.estimate import render_estimate
from evals.models.gome_run import SignalledError
from evals.models.page import publish_page, write_page
from evals.models.study import (
    CONTESTANTS,
    Budget,
    Cell,
    CellResult,
    Study,
    StudyError,
    Terms,
    open_study,
    read_results,
)
from evals.models.tasks import StudyTask, expand_names, folder_name, make_task
from graph.settings import Settings
from reasoner.protocol import ReasonerUnavailableError
from sandbox.protocol import SandboxLostError, SandboxUnavailableError
from settings.search import PRESETS
from task.types import TaskError

RESULTS = Path("docs/results")
# ends of a command that are told in their own sentence
STOPPING = (
    StudyError,
    TaskError,
    ReasonerUnavailableError,
    SandboxUnavailableError,
    SandboxLostError,
)
# settings that the protocol fixes, or that have an option of their own
FIXED = frozenset(
    {
        "model",
        "base_url",
        "key_env",
        "prices",
        "fallback",
        "time_s",
        "steps",
        "max_tokens",
        "max_usd",
        "max_executions",
        "memory",
        "seed",
        "runs_dir",
        "preset",
        "network",
        "sandbox",
        "cache",
        "checkpoint",
        "steer",
        "transcripts",
        "config",
    }
)


def main(words: Sequence[str] | None = None) -> int:
    options = make_parser().parse_args(words)
    try:
        return run_command(options)
    except STOPPING as error:
        print(error, file=sys.stderr)
        return 2
    except typer.Exit as error:  # a --set that is no setting: the reason was printed
        return error.exit_code or 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="as the endpoint names it")
    parser.add_argument("--tasks", required=True, metavar="LIST", help="comma separated")
    parser.add_argument(
        "--contestants", default=",".join(CONTESTANTS), metavar="LIST", help="comma separated"
    )
    parser.add_argument("--base-url", metavar="URL", help="of the endpoint, ending in /v1")
    parser.add_argument("--key-env", default="OPENAI_API_KEY", metavar="VARIABLE")
    parser.add_argument(
        "--prices", metavar="FILE", help="YAML: `NAME: {input: 1.25, output: 10}`, $ per million"
    )
    parser.add_argument(
        "--seconds", type=positive, default=1800, help="of a cell, answers included [1800]"
    )
    parser.add_argument(
        "--tokens", type=int, default=500_000, help="of a cell, read and written [500000]"
    )
    parser.add_argument(
        "--steps", type=int, default=50, help="most attempts a trace, and steps of AIDE [50]"
    )
    parser.add_argument("--seeds", type=int, default=1, help="repeats of every cell [1]")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of docs/settings.md: those of the model for all contestants"
        " (temperature, reasoning_effort, max_output_tokens, extra_body …), others for Gome",
    )
    parser.add_argument("--aide", default="aide", metavar="ENV", help="its environment [aide]")
    parser.add_argument(
        "--served", default="", metavar="TEXT", help="what serves the model on this machine"
    )
    parser.add_argument("--out", type=Path, help="folder of the study [in the cache, by the model]")
    parser.add_argument("--place", type=Path, default=Path("tasks/suite"), help="of task folders")
    parser.add_argument("--release", action="store_true", help="needed for the suite's final half")
    parser.add_argument("--dry-run", action="store_true", help="tell what it would take, and end")
    parser.add_argument("--publish", action="store_true", help=f"write {RESULTS}/models.md too")
    return parser


def positive(text: str) -> float:
    """Read a number of seconds above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def run_command(options: argparse.Namespace) -> int:
    """Run the study, or tell what it would take. Raises StudyError."""
    contestants = read_contestants(options.contestants)
    names = expand_names(options.tasks.split(","), release=options.release)
    settings, terms = read_terms_of(options)
    cells = [
        Cell(task=folder_name(name), contestant=contestant, seed=seed)
        for name in names
        for seed in range(options.seeds)
        for contestant in contestants
    ]
    folder = (options.out or default_folder(options.model)).expanduser().resolve()
    if options.dry_run:
        study = Study(folder, terms)
        waiting = [cell for cell in cells if study.find(cell) is None]
        n_done = len(cells) - len(waiting)
        print(render_estimate(waiting, n_done, terms.budget, terms.price))
        return 0
    find_address(settings)  # no key: said before any folder is made
    with open_study(folder, terms) as study:
        asyncio.run(run_study(study, cells, names, settings, options))
        results = chosen_results(study.folder, cells)
        command, terms = tell_command(options), study.terms
        print(write_page(folder, terms, results, command).read_text())
        print(f"study: {folder}")
        if options.publish:
            print(f"page: {publish_page(folder, terms, results, command, RESULTS)}")
    return 0


def read_contestants(text: str) -> list[str]:
    """Return the contestants of the list. Raises StudyError for an unknown one."""
    names = list(dict.fromkeys(filter(None, (word.strip() for word in text.split(",")))))
    for name in names:
        agent, _, preset = name.partition(":")
        if agent not in CONTESTANTS or (preset and agent != "gome"):
            raise StudyError(
                f"no contestant {name!r}; there are {', '.join(CONTESTANTS)} and gome:PRESET"
            )
        if preset and preset not in PRESETS:
            raise StudyError(f"Gome has no preset {preset!r}; there are {', '.join(PRESETS)}")
    if not names:
        raise StudyError("--contestants names nobody")
    return names


def read_terms_of(options: argparse.Namespace) -> tuple[Settings, Terms]:
    """Return the settings of the model, and the terms of the study. Raises StudyError."""
    given = parse_changes(options.set)
    if fixed := sorted(FIXED & set(given)):
        raise StudyError(f"--set {fixed[0]}: the protocol fixes it, or an option sets it (--help)")
    if "=" in options.model or "," in options.model:
        raise StudyError(f"--model {options.model}: one model by its name, for all contestants")
    if options.tokens < 1 or options.steps < 1 or options.seeds < 1:
        raise StudyError("--tokens, --steps and --seeds are at least 1")
    try:
        settings = Settings(
            **given,
            model=[options.model],
            base_url=options.base_url,
            key_env=options.key_env,
            prices=options.prices,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    address = public_address(settings)
    budget = Budget(seconds=options.seconds, tokens=options.tokens, steps=options.steps)
    return settings, Terms(
        model=options.model,
        endpoint=address,
        served=options.served,
        budget=budget,
        settings=given,
        price=find_price(settings),
    )


def public_address(settings: Settings) -> str:
    """Return the endpoint's address without credentials, also where its key is missing yet."""
    try:
        return find_address(settings).public_url
    except StudyError:
        return settings.base_url or ""


def default_folder(model: str) -> Path:
    """Return the folder of a model's study."""
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in model)[:80]
    return CACHE / "models" / name


async def run_study(
    study: Study,
    cells: Sequence[Cell],
    names: Sequence[str],
    settings: Settings,
    options: argparse.Namespace,
) -> None:
    """Run every cell that is not finished. Raises StudyError."""
    waiting = [cell for cell in cells if study.find(cell) is None]
    say = make_say("")
    say(f"{len(cells)} cells, {len(cells) - len(waiting)} of them finished; folder {study.folder}")
    if not waiting:
        return
    if any(cell.agent == "aide" for cell in waiting):
        await check_aide(settings, options.aide, study.folder)
    scripted = await is_scripted(settings)
    await check_endpoint(settings, say)
    if scripted:
        say("the endpoint's answers are scripted: this is a trial, and no model's figures")
    tasks: dict[str, StudyTask] = {}
    for name in names:
        if any(cell.task == folder_name(name) for cell in waiting):
            task = await make_task(name, options.place, CACHE / "suite" / "wheels")
            tasks[task.name] = task
    for number, cell in enumerate(waiting, 1):
        say = make_say(f"[{number}/{len(waiting)}] {cell.task} {cell.contestant}: ")
        place = study.begin(cell, keeps=cell.agent in GOES_ON)
        job = CellJob(
            cell, tasks[cell.task], place, study.terms.budget, settings, scripted, say, options.aide
        )
        say(f"{'goes on' if any(place.iterdir()) else 'begins'}; {place}")
        try:
            result = await run_cell(job)
        except SignalledError:
            raise KeyboardInterrupt from None
        study.finish(cell, result)
        say(tell_result(result))


def make_say(head: str) -> Callable[[str], None]:
    """Return a function that tells progress on stderr, with the time."""
    return lambda text: print(f"{time.strftime('%H:%M:%S')} {head}{text}", file=sys.stderr)


def tell_result(result: CellResult) -> str:
    """Return a finished cell in a line."""
    score = result.failure if result.private is None else f"private score {result.private:.5g}"
    usage = result.usage
    usd = "" if usage.usd is None else f", {usage.usd:.3f} USD"
    tokens = usage.input_tokens + usage.output_tokens
    return (
        f"{score}; {result.seconds:.0f} s, {result.executions} executions, {usage.calls} calls,"
        f" {tokens:,} tokens{usd}; ended by {result.end}"
    )


def chosen_results(folder: Path, cells: Sequence[Cell]) -> list[CellResult]:
    """Return the finished cells of this command, in its order."""
    known = {(one.task, one.contestant, one.seed): one for one in read_results(folder)}
    keys = [(cell.task, cell.contestant, cell.seed) for cell in cells]
    return [known[key] for key in keys if key in known]


def tell_command(options: argparse.Namespace) -> str:
    """Return the command as others would type it: nothing of this machine's folders."""
    words = ["--model", options.model, "--tasks", options.tasks]
    words += ["--contestants", options.contestants, "--seconds", f"{options.seconds:g}"]
    words += ["--tokens", str(options.tokens), "--steps", str(options.steps)]
    words += ["--seeds", str(options.seeds)]
    for pair in options.set:
        words += ["--set", pair]
    return f"python -m evals.models {shlex.join(words)}"


if __name__ == "__main__":
    sys.exit(main())
