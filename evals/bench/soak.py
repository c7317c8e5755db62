"""Does a long run stay flat? Memory, time and growth on disk per round, by fifths of the run.

    python -m evals.bench.soak [--rounds 2000] [--reasoner endpoint|trivial] [--memory on|off]

Ctrl-C ends it early and prints the table so far. A trivial script runs without a sandbox
(isolation none), and a scripted OpenAI-compatible endpoint answers from a process of its own: what
is left is Gome, the prompts it renders and the client that sends them. `trivial` leaves out the
client. docs/log.md contains the figures.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from evals.bench.overhead import RANDOM_SCRIPT, TrivialReasoner
from evals.harness.common import write_example_task
from evals.harness.provenance import provenance_note
from evals.peers.endpoint import HYPOTHESIS, ScriptedEndpoint
from graph.settings import Settings
from session.session import start_run

MB, FIFTHS = 2**20, 5
ROUNDS_PER_LOOK = 20  # rounds between two measurements of the disk
MEASURED_FILES = ("checkpoints.sqlite", "rounds.jsonl", "events.jsonl", "artifacts", "done")


class RoundCost(NamedTuple):
    """One round as measured at its merge."""

    wall_s: float
    outside_s: float  # the share of script and endpoint
    cpu_s: float  # of the main process
    helpers_s: float  # CPU of task worker and memory
    main_bytes: int  # resident
    helper_bytes: int  # resident, task worker and memory


class SoakMeter:
    """Listener that measures every round, and the run folder every ROUNDS_PER_LOOK rounds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = psutil.Process()
        self.rounds: list[RoundCost] = []
        self.sizes: list[dict[str, int]] = []  # one per look
        self.start_round()

    def start_round(self) -> None:
        """Set the counters to zero."""
        self.began, self.outside_s = time.perf_counter(), 0.0
        self.cpu_s, self.helpers_s = process_cpu_s(self.process), self.measure_helpers_s()

    def measure_helpers_s(self) -> float:
        """Return the CPU seconds of all child processes."""
        return sum(process_cpu_s(child) for child in self.process.children())

    def on_event(self, event: dict[str, Any]) -> None:
        """Add up the seconds outside Gome; a merge ends the round."""
        if event["ev"] in ("drafted", "diagnosed", "updated", "execution_finished"):
            self.outside_s += event["seconds"]
        if event["ev"] == "merged":
            self.end_round()

    def end_round(self) -> None:
        """Store the round's cost and start the next one."""
        cost = RoundCost(
            wall_s=time.perf_counter() - self.began,
            outside_s=self.outside_s,
            cpu_s=process_cpu_s(self.process) - self.cpu_s,
            helpers_s=self.measure_helpers_s() - self.helpers_s,
            main_bytes=resident_or_zero(self.process),
            helper_bytes=sum(resident_or_zero(child) for child in self.process.children()),
        )
        self.rounds.append(cost)
        if len(self.rounds) % ROUNDS_PER_LOOK == 0:
            self.sizes.append({name: disk_bytes(self.folder / name) for name in MEASURED_FILES})
        self.start_round()

    def table_rows(self) -> Iterator[tuple[str, list[float]]]:
        """Yield a label and a value for every fifth of the run."""
        ends = [len(self.sizes) * place // FIFTHS for place in range(FIFTHS + 1)]  # in looks
        spans = list(pairwise(ends))
        fifths = [
            self.rounds[low * ROUNDS_PER_LOOK : high * ROUNDS_PER_LOOK] for low, high in spans
        ]
        median, mean = statistics.median, statistics.fmean
        figures: list[tuple[str, Statistic, Callable[[RoundCost], float]]] = [
            ("round, s", median, lambda cost: cost.wall_s),
            ("of it Gome, s", median, lambda cost: cost.wall_s - cost.outside_s),
            ("CPU of the main process, s", mean, lambda cost: cost.cpu_s),
            ("CPU of task worker and memory, s", mean, lambda cost: cost.helpers_s),
            ("resident, main process, MB", median, lambda cost: cost.main_bytes / MB),
            ("resident, task worker and memory, MB", median, lambda cost: cost.helper_bytes / MB),
        ]
        for label, statistic, value in figures:
            yield label, [statistic([value(cost) for cost in fifth]) for fifth in fifths]
        sizes = [dict.fromkeys(MEASURED_FILES, 0), *self.sizes]
        for name in MEASURED_FILES:
            growth = []
            for low, high in spans:
                grown_kb = (sizes[high][name] - sizes[low][name]) / 1024
                growth.append(grown_kb / (high - low) / ROUNDS_PER_LOOK)
            yield f"{name}, KB a round", growth


Statistic = Callable[[Sequence[float]], float]


def process_cpu_s(process: psutil.Process) -> float:
    """Return user and system seconds; 0 of a process that has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def resident_or_zero(process: psutil.Process) -> int:
    """Return the resident bytes; 0 of a process that has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def disk_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where there is none."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size if path.exists() else 0


def fifths_table(rows: Sequence[tuple[str, list[float]]]) -> str:
    """Return a Markdown table; the last column is the last fifth over the second.

    The first fifth warms up.
    """
    numbers = " | ".join(str(place + 1) for place in range(FIFTHS))
    head = [f"| per fifth | {numbers} | last / second |", "|---|" + "---|" * (FIFTHS + 1)]
    return "\n".join(head + [fifths_row(label, values) for label, values in rows])


def fifths_row(label: str, values: list[float]) -> str:
    """Return one row of the table."""
    ratio = f"{values[-1] / values[1]:.2f}" if len(values) > 1 and values[1] else "-"
    cells = [f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in values]
    return f"| {' | '.join([label, *cells, ratio])} |"


class VariedEndpoint(ScriptedEndpoint):
    """Endpoint that never gives the same hypothesis twice, as a model would."""

    def answer_schema(self, title: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the scripted answer with another statement each time."""
        answer = super().answer_schema(title, schema)
        if title.startswith(("Diagnose", "Step")):
            n = self.n_scripts
            varied = {"statement": f"shift the seed by {n}", "challenge": f"chance {n}"}
            answer["hypotheses"] = [HYPOTHESIS | varied]
        if title.startswith("Update"):
            del answer["hypothesis"]
        return answer


def serve_endpoint(address: Connection[str, str]) -> None:
    """Serve the endpoint until the process is terminated; send its URL first."""
    with VariedEndpoint(lambda agent, number: RANDOM_SCRIPT.format(seed=number)) as endpoint:
        address.send(endpoint.url)
        threading.Event().wait()


@contextmanager
def endpoint_process() -> Iterator[str]:
    """Run the endpoint in another process, so that its memory is not counted; yield its URL."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=serve_endpoint, args=(sender,), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def run_soak(options: argparse.Namespace, place: Path, url: str) -> SoakMeter:
    """Run the example below `place` with the endpoint at `url`, or with the trivial reasoner."""
    asyncio.run(write_example_task(options.example, place / "task"))
    model = {"model": ["scripted"], "base_url": url} if url else {}
    settings = Settings.model_validate(
        {
            "traces": options.traces,
            "steps": options.rounds,
            "time_s": 7 * 86_400,
            "isolation": "none",
            "memory": str(place / "memory") if options.memory == "on" else "off",
            "embedding": "lexical",
            **model,
        }
    )
    meter = SoakMeter(place / "run")
    asyncio.run(
        start_run(
            str(place / "task"),
            settings,
            folder=place / "run",
            listeners=[meter.on_event],
            reasoner=None if url else TrivialReasoner(),
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
            with endpoint_process() as url:
                meter = run_soak(options, Path(temporary), url)
        else:
            meter = run_soak(options, Path(temporary), "")
    print(f"{len(meter.rounds)} rounds in {time.perf_counter() - began:.0f} s\n")
    print(fifths_table(list(meter.table_rows())))
    print("\n" + provenance_note("python -m evals.bench.soak " + " ".join(sys.argv[1:])))


if __name__ == "__main__":
    main()
