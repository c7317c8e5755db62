"""What blends bring on private rows: the former pool and bar against everything valid.

python -m evals.studies.ensemble [--tasks anes96,diabetes,…] [--suite FOLDER] [--orders 4]
                                 [--rows FILE] [--out docs/results/ensemble.md]

Tasks are the examples, the planted tasks of evals/harness/planted.py without a flaw (no gate keeps
a leak out here), and the tabular tasks of the suite's tuning half, as `python -m evals.suite make`
wrote them into FOLDER. Ten plain pipelines are fitted on the folds that a run would have and dealt
in a random order to three traces as their attempts: the first of a trace leads it, a later one
where it is better than its trace's best with a probability of 0.7 (`step_p`). That is a run without
executions and reasoner. Then the best attempt from which a trace went on and the blends are scored
on the private answers, none fitted again:

former  only attempts from which a trace went on, greedy weights alone, handed over where the
        nested score is better by 1.15 standard errors
now     every attempt, the better of greedy and convex weights, chosen in the nest, handed over
        where the nested score is better
both    the blend of `now`, handed over where its nested score is better than that of choosing the
        best single solution, nested over the same folds: both sides pay for their choice

Gains are those of the blend over the single solution on the private rows, positive is better, in
standard errors of the single solution's out-of-fold score. Orders of one task share its fits.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from evals.harness import planted, suites
from evals.harness.common import private_answers, write_example_task, write_results_page
from evals.harness.pages import append_row, read_rows
from evals.studies.ensemble_pool import Fitted, fit_pool, write_nested_choice
from task.grade.blend import blend_attempts
from task.grade.blend_weights import CANDIDATES, Candidate
from task.grade.grade import compare_files
from task.grade.handover import write_final_submission
from task.grade.score_answers import score_private
from task.types import PairedJson, Prepared, TaskError

EXAMPLES = ("breast_cancer", "diabetes", "anes96", "modechoice", "fair", "randhie")
SUITE = (
    "abalone",
    "card_defaults",
    "caravans",
    "footballers",
    "mortgages",
    "passengers",
    "wages",
    "inspections",
)
ABOUT = """\
Ten plain pipelines a task stand for the attempts of a run; blends of them against the best single
one, on private rows, in standard errors of its out-of-fold score. `former`: attempts that led a
trace, greedy weights, handed over beyond 1.15 standard errors. `now`: the loop's rule, every
attempt, the better of greedy and convex weights, handed over where the nested score is better at
all. `both`: the same blends, where the choice of the best single one is nested over the same folds,
too; the loop does not do this ([decision](../decisions/0045-the-single-choice-is-not-nested.md)).
*Rightly* and *wrongly* are by the private score. Four orders of one task share its ten fits and its
private rows, so tasks are what counts. No gate works here.
"""
PLANTED = tuple(name for name in planted.PLANTED if name not in suites.SUITES["flawed"])
TASKS = (*EXAMPLES, *PLANTED, *SUITE)
RULES = ("former", "now", "both")
N_TRACES, STEP_P, FORMER_Z = 3, 0.7, 1.15


class BlendRow(NamedTuple):
    """A blend's private gain and its measured one, in standard errors; is it handed over?"""

    gain: float
    is_handed: bool
    d: float  # measured over what it is compared with, out of fold
    se: float  # of that


class OrderRow(NamedTuple):
    """One order of the attempts of a task: a blend by rule, None where there was none."""

    task: str
    former: BlendRow | None
    now: BlendRow | None
    both: BlendRow | None


class BlendJudge:
    """The blends of one task's attempts, against the best single one."""

    def __init__(self, task: Path, prepared: Prepared, pool: dict[str, Fitted]) -> None:
        self.task, self.prepared, self.pool = task, prepared, pool
        self.sign = 1 if prepared.task.direction == "max" else -1
        self._compared: dict[tuple[str, str], PairedJson] = {}
        self._blended: dict[tuple[str, ...], tuple[str, str] | None] = {}
        self._private: dict[str, float] = {}
        self._place = Path(tempfile.mkdtemp(dir=task.parent))

    def judge_order(self, order: Sequence[str]) -> OrderRow:
        """Play one order of the attempts; judge both blends at its end."""
        led = self.list_led(order)
        single = max(led, key=lambda name: self.sign * self.pool[name].score)
        former = self._judge(led, single, ("greedy",), FORMER_Z)
        now = self._judge(order, single, CANDIDATES, 0.0)
        both = now and self._judge_both(order, led, single, now)
        return OrderRow(self.task.name, former, now, both)

    def list_led(self, order: Sequence[str]) -> list[str]:
        """Return the attempts that led their trace."""
        led: list[str] = []
        for trace in range(N_TRACES):
            mine = order[trace::N_TRACES]
            best = mine[0]
            led.append(best)
            for name in mine[1:]:
                if self.compare(self.pool[name].oof, self.pool[best].oof)["p_improved"] >= STEP_P:
                    best = name
                    led.append(name)
        return led

    def compare(self, new: str, old: str) -> PairedJson:
        """Return the paired difference of two out-of-fold files."""
        if (new, old) not in self._compared:
            paired = compare_files(self.prepared, [new], [old])
            assert paired is not None, "both files are this study's own"
            self._compared[new, old] = paired
        return self._compared[new, old]

    def score_private(self, submission: str) -> float:
        """Score predictions of the test rows on the private answers."""
        if submission not in self._private:
            out = str(self._place / "one.csv")
            write_final_submission(self.prepared, submission, out)
            answers = str(private_answers(self.task))
            self._private[submission] = score_private(str(self.task), answers, out)
        return self._private[submission]

    def _judge(
        self, names: Sequence[str], single: str, candidates: Sequence[Candidate], z: float
    ) -> BlendRow | None:
        blend = self._blend(sorted(names), candidates)
        if blend is None:
            return None
        paired = self.compare(blend[0], self.pool[single].oof)
        private = self.score_private(self.pool[single].submission)
        unit = self.pool[single].se
        gain = self.sign * (self.score_private(blend[1]) - private) / unit
        is_handed = paired["d"] > max(z * paired["se"], 0.0)
        return BlendRow(gain, is_handed, paired["d"] / unit, paired["se"] / unit)

    def _judge_both(
        self, order: Sequence[str], led: Sequence[str], single: str, now: BlendRow
    ) -> BlendRow:
        """The same blend, against the choice of the best single solution, nested as it is."""
        blend = self._blend(sorted(order), CANDIDATES)
        chosen = self._choose_nested(sorted(led))
        if blend is None or chosen is None:
            return now
        paired, unit = self.compare(blend[0], chosen), self.pool[single].se
        return BlendRow(now.gain, paired["d"] > 0, paired["d"] / unit, paired["se"] / unit)

    def _blend(
        self, names: Sequence[str], candidates: Sequence[Candidate]
    ) -> tuple[str, str] | None:
        """The files of a blend: out of fold, and of the test rows."""
        key = (*candidates, *names)
        if key not in self._blended:
            place = self._place / str(len(self._blended))
            place.mkdir()
            try:
                made = blend_attempts(self.prepared, self._paths(names), str(place), candidates)
            except TaskError:
                made = None
            is_blend = made is not None and len(made["weights"]) > 1
            found = (made["oof"], made["submission"]) if made and is_blend else None
            self._blended[key] = found
        return self._blended[key]

    def _choose_nested(self, names: Sequence[str]) -> str | None:
        """The out-of-fold file of the nested choice among these; None: there is none."""
        if len(names) < 2:
            return None
        path = str(self._place / f"nested-{'-'.join(names)}.csv")
        write_nested_choice(self.prepared, self._paths(names), path)
        return path

    def _paths(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        pool = self.pool
        return {
            name: {"oof": pool[name].oof, "submission": pool[name].submission} for name in names
        }


def play_task(task: Path, n_orders: int) -> list[OrderRow]:
    """Fit the pool of a task and judge the blends of several orders of its attempts."""
    prepared, pool = fit_pool(task)
    judge = BlendJudge(task, prepared, pool)
    rng = random.Random(task.name)
    return [judge.judge_order(rng.sample([*pool], len(pool))) for _ in range(n_orders)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="", help="comma separated; all where nothing is given")
    parser.add_argument("--suite", type=Path, help="folder with tasks of the suite")
    parser.add_argument("--orders", type=int, default=4, help="random orders per task")
    parser.add_argument("--rows", type=Path, help="file that keeps the rows of finished tasks")
    parser.add_argument("--out", type=Path, help="page that the table is written to")
    options = parser.parse_args()
    names = options.tasks.split(",") if options.tasks else [*TASKS]
    lines = [HEAD]
    print(HEAD, flush=True)
    rows: list[OrderRow] = []
    with tempfile.TemporaryDirectory(prefix="gome-ensemble-") as temporary:
        for name in names:
            found = read_known(options.rows, name)
            if not found:
                found = play_task(place_task(options.suite, name, Path(temporary)), options.orders)
                keep_rows(options.rows, found)
            rows += found
            lines.append(task_line(found))
            print(lines[-1], flush=True)
    lines += ["", *(summary_line(name, rows) for name in RULES)]
    lines += [paired_line(rows, "now", "former"), paired_line(rows, "both", "now")]
    lines.append(caution_line(rows))
    left_out = [name for name in TASKS if name not in names]
    lines += [f"not measured: {', '.join(left_out)}"] if left_out else []
    print("\n".join(lines[-7:]))
    command = "python -m evals.studies.ensemble --suite FOLDER"
    write_results_page(options.out, "Best single solution and ensemble", command, lines, ABOUT)


def read_known(path: Path | None, task: str) -> list[OrderRow]:
    """Return the rows of a task that were kept."""
    kept = read_rows(path) if path else []
    return [
        OrderRow(name, *(BlendRow(*blend) if blend else None for blend in blends))
        for name, *blends in kept
        if name == task
    ]


def keep_rows(path: Path | None, rows: Sequence[OrderRow]) -> None:
    """Append the rows of a task."""
    if path is not None:
        for row in rows:
            append_row(path, row)


def place_task(suite: Path | None, name: str, place: Path) -> Path:
    """Write an example, or link a task of the suite with its answers, below `place`."""
    if name in PLANTED:
        planted.write_planted_task(name, place / name)
        return place / name
    if name in EXAMPLES:
        asyncio.run(write_example_task(name, place / name))
        return place / name
    if suite is None:
        raise SystemExit(f"{name} is a task of the suite; give its folder by --suite")
    for folder in (name, f"{name}-private"):
        (place / folder).symlink_to((suite / folder).resolve())
    return place / name


HEAD = (
    f"{'task':14} {'orders':>6}  {'former: gain':>12} {'handed':>6} {'rightly':>7}  "
    f"{'now: gain':>10} {'handed':>6} {'rightly':>7}  "
    f"{'both: handed':>12} {'rightly':>7}"
)


def task_line(rows: Sequence[OrderRow]) -> str:
    """Return the mean gain of a task's blends, how many are handed over and how many rightly."""
    cells = []
    for name, width in (("former", 12), ("now", 10), ("both", 0)):
        made: list[BlendRow] = [row for one in rows if (row := getattr(one, name)) is not None]
        handed = [row for row in made if row.is_handed]
        gain = f"{fmean(row.gain for row in made):+.2f}" if made else "none"
        n_right = sum(row.gain > 0 for row in handed)
        if width:
            cells.append(f"{gain:>{width}} {len(handed):6} {n_right:7}")
        else:
            cells.append(f"{len(handed):12} {n_right:7}")
    return f"{rows[0].task:14} {len(rows):6}  " + "  ".join(cells)


def handed_gain(row: BlendRow | None) -> float:
    """Return what is gained over always handing over the single solution."""
    return row.gain if row is not None and row.is_handed else 0.0


def summary_line(name: str, rows: Sequence[OrderRow]) -> str:
    """Say how often a blend was made, helped and was handed over, and by how much."""
    made: list[BlendRow] = [row for each in rows if (row := getattr(each, name)) is not None]
    handed = [row for row in made if row.is_handed]
    kept = [row for row in made if not row.is_handed]
    n_right, n_missed = (sum(row.gain > 0 for row in group) for group in (handed, kept))
    gain = fmean(handed_gain(getattr(each, name)) for each in rows)
    return (
        f"{name:6}: made in {len(made)} of {len(rows)}, better in"
        f" {sum(row.gain > 0 for row in made)}; handed over {len(handed)}, rightly {n_right};"
        f" kept back {len(kept)}, wrongly {n_missed}; handing over brings {gain:+.3f} SE on average"
    )


def caution_line(rows: Sequence[OrderRow]) -> str:
    """Say how the measured leads of the blends compare with what they gain, task by task."""

    def mean(value: Callable[[OrderRow], float]) -> float:
        by_task: dict[str, list[float]] = {}
        for row in rows:
            if row.now is not None and row.both is not None:
                by_task.setdefault(row.task, []).append(value(row))
        return fmean(fmean(values) for values in by_task.values())

    gain, now, both = (
        mean(lambda row: row.now.gain if row.now else 0.0),
        mean(lambda row: row.now.d if row.now else 0.0),
        mean(lambda row: row.both.d if row.both else 0.0),
    )
    return (
        f"blends gain {gain:+.3f} SE on private rows, mean over the tasks that have one; their "
        f"measured lead is {now:+.3f} over the best single score, {both:+.3f} over a nested choice"
    )


def paired_line(rows: Sequence[OrderRow], one: str, two: str) -> str:
    """Say what a rule brings over another, with the error over the tasks."""
    by_task: dict[str, list[float]] = {}
    for row in rows:
        gap = handed_gain(getattr(row, one)) - handed_gain(getattr(row, two))
        by_task.setdefault(row.task, []).append(gap)
    means = [fmean(gains) for gains in by_task.values()]
    se = stdev(means) / len(means) ** 0.5 if len(means) > 1 else float("nan")
    n_better = sum(mean > 0 for mean in means)
    return (
        f"{one} - {two}: {fmean(means):+.3f} ± {se:.3f} SE over {len(means)} tasks,"
        f" better in {n_better}, worse in {sum(mean < 0 for mean in means)}"
    )


if __name__ == "__main__":
    main()
