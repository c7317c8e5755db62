"""Does a long run stay flat?  Memory, time and growth on disk per round, by fifths of the run.

    python -m evals.bench.soak [--rounds 2000] [--reasoner endpoint|trivial] [--memory on|off]

Ctrl-C ends it early and prints what there is. A trivial script, executed for real without a sandbox (--isolation none), and a scripted OpenAI-compatible endpoint in a process of its own:
what is left is Gome, the prompts it renders and the client that sends them. `trivial` leaves the client out. docs/log.md keeps the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from evals.bench.overhead import SCRIPT, Trivial
from evals.harness.common import write
from evals.harness.provenance import provenance
from evals.peers.endpoint import HYPOTHESIS, Endpoint
from graph.settings import Settings
from session.session import start_run

MB, FIFTHS, LOOK = 2**20, 5, 20  # rounds between two looks at the disk
KEPT = ("checkpoints.sqlite", "rounds.jsonl", "events.jsonl", "artifacts", "done")


class Round(NamedTuple):
    """One round as measured at its merge."""

    wall_s: float
    outside_s: float  # the script's and the endpoint's own share of it
    cpu_s: float  # of the main process
    helpers_s: float  # CPU of task worker and memory
    resident: int
    children: int  # resident bytes of task worker and memory


class Meter:
    """Looks at every merge, and now and then at the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = psutil.Process()
        self.begin()
        self.rounds: list[Round] = []
        self.sizes: list[dict[str, int]] = []  # after every LOOK rounds

    def begin(self) -> None:
        self.last, self.cpu, self.helpers, self.outside = (
            time.perf_counter(),
            cpu_s(self.process),
            self.helpers_s(),
            0.0,
        )

    def helpers_s(self) -> float:
        return sum(cpu_s(child) for child in self.process.children())

    def on_event(self, event: dict[str, Any]) -> None:
        if event["ev"] in ("drafted", "diagnosed", "updated", "execution_finished"):
            self.outside += event["seconds"]
        if event["ev"] == "merged":
            now, cpu, helpers = time.perf_counter(), cpu_s(self.process), self.helpers_s()
            children = sum(resident(child) for child in self.process.children())
            self.rounds.append(
                Round(
                    now - self.last,
                    self.outside,
                    cpu - self.cpu,
                    helpers - self.helpers,
                    resident(self.process),
                    children,
                )
            )
            if len(self.rounds) % LOOK == 0:
                self.sizes.append({name: size(self.folder / name) for name in KEPT})
            self.begin()

    def rows(self) -> Iterator[tuple[str, list[float]]]:
        """Label and a value for every fifth."""
        ends = [len(self.sizes) * place // FIFTHS for place in range(FIFTHS + 1)]  # in looks
        parts = [self.rounds[start_run * LOOK : end * LOOK] for start_run, end in pairwise(ends)]
        yield "round, s", [statistics.median(one.wall_s for one in part) for part in parts]
        yield (
            "of it Gome, s",
            [statistics.median(one.wall_s - one.outside_s for one in part) for part in parts],
        )
        yield (
            "CPU of the main process, s",
            [statistics.fmean(one.cpu_s for one in part) for part in parts],
        )
        yield (
            "CPU of task worker and memory, s",
            [statistics.fmean(one.helpers_s for one in part) for part in parts],
        )
        yield (
            "resident, main process, MB",
            [statistics.median(one.resident for one in part) / MB for part in parts],
        )
        yield (
            "resident, task worker and memory, MB",
            [statistics.median(one.children for one in part) / MB for part in parts],
        )
        known = [dict.fromkeys(KEPT, 0), *self.sizes]
        for name in KEPT:
            grown = [
                (known[end][name] - known[start_run][name]) / (end - start_run) / LOOK / 1024
                for start_run, end in pairwise(ends)
            ]
            yield f"{name}, KB a round", grown


def cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # a script that has just ended
        return 0


def size(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size if path.exists() else 0


def table(rows: Sequence[tuple[str, list[float]]]) -> str:
    """Markdown; the last column is the last fifth over the second (the first warms up)."""
    head = [
        "| per fifth | "
        + " | ".join(str(place + 1) for place in range(FIFTHS))
        + " | last / second |",
        "|---|" + "---|" * (FIFTHS + 1),
    ]
    return "\n".join(head + [line(name, values) for name, values in rows])


def line(name: str, values: list[float]) -> str:
    ratio = f"{values[-1] / values[1]:.2f}" if len(values) > 1 and values[1] else "-"
    return (
        f"| {name} | "
        + " | ".join(f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in values)
        + f" | {ratio} |"
    )


# the endpoint, in a process of its own


class Varied(Endpoint):
    """Never the same words twice, as a model would."""

    def structured(self, title: str, schema: dict[str, Any]) -> dict[str, Any]:
        answer = super().structured(title, schema)
        if title.startswith("Diagnose"):
            answer["hypotheses"] = [
                HYPOTHESIS
                | {
                    "statement": f"shift the seed by {self.n_scripts}",
                    "challenge": f"chance {self.n_scripts}",
                }
            ]
        if title.startswith("Update"):
            del answer["hypothesis"]
        return answer


def serve(address: Any) -> None:
    with Varied(lambda agent, number: SCRIPT.format(seed=number)) as endpoint:
        address.send(endpoint.url)
        threading.Event().wait()


@contextmanager
def elsewhere() -> Iterator[str]:
    """The address of a scripted endpoint whose memory is not ours."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def soak(options: argparse.Namespace, place: Path, url: str) -> Meter:
    asyncio.run(write(options.example, place / "task"))
    given = {"model": ["scripted"], "base_url": url} if url else {}
    settings = Settings(
        traces=options.traces, steps=options.rounds, time_s=7 * 86_400, isolation="none",
        memory=str(place / "memory") if options.memory == "on" else "off", **given,
    )  # fmt: skip
    meter = Meter(place / "run")
    reasoner = None if url else Trivial()
    asyncio.run(
        start_run(
            str(place / "task"),
            settings,
            folder=place / "run",
            listeners=[meter.on_event],
            reasoner=reasoner,
        )
    )
    return meter


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--traces", type=int, default=1)
    parser.add_argument("--reasoner", choices=["endpoint", "trivial"], default="endpoint")
    parser.add_argument("--memory", choices=["on", "off"], default="on")
    parser.add_argument("--example", default="modechoice")
    options = parser.parse_args()
    os.environ.setdefault("OPENAI_API_KEY", "none")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gome-soak-") as temporary:
        if options.reasoner == "endpoint":
            with elsewhere() as url:
                meter = soak(options, Path(temporary), url)
        else:
            meter = soak(options, Path(temporary), "")
    print(f"{len(meter.rounds)} rounds in {time.perf_counter() - began:.0f} s\n")
    print(table(list(meter.rows())))
    print("\n" + provenance("python -m evals.bench.soak " + " ".join(sys.argv[1:])))


if __name__ == "__main__":
    main()
