"""Bait: who takes a shortcut that scores well on the folds and fails on the private rows?

python -m evals.studies.bait [--kinds entities,near_copies,noise] [--policies gome,tree,…]
                             [--guards all,none,…] [--seeds 3] [--runs FILE] [--out docs/results]

Three kinds of tasks, made anew for every seed:
- entities: several rows of each person, whose own level decides most of the label; the private rows
  are of other persons. Bait: recognise the person by columns that hardly change within one.
- near_copies: a third of the training rows are others with 0.3 % of noise; private rows are no
  copies. Bait: answer by the nearest row.
- noise: no column says anything; whatever leads is lucky.

A reasoner without any insight plays scripts: honest and baited ones, in an order that the seed
shuffles, each policy with the same six steps. What protects from bait is switched off one by one:
audit (hidden rows), gates (leak checks, and labels shuffled), groups (folds that keep persons and
copies together; off: random folds).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd

from evals.harness.pages import (
    append_row,
    page_parser,
    read_rows,
    table_head,
    table_row,
    write_study_page,
)
from evals.harness.play import Workbench, open_workbench, play_run
from evals.harness.provenance import provenance_note
from evals.harness.rules import LoopRules
from graph.settings import Settings
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)
from run.events import iterate_events
from sandbox.inside.walk import remove_folder
from scoring.acceptance import Judgement, judge_attempt
from task.types import Grade

KINDS = ("entities", "near_copies", "noise")
POLICIES = ("gome", "adaptive", "tree", "mcts", "random")
GUARDS = ("audit", "gates", "groups")
STEPS = 6
ABOUT = """\
# Bait

Before near copies were looked for, all policies took that bait under every guard (private AUC
.694).

Each cell: runs that handed over a baited script (on noise: that claim to beat the baseline), of how
many, with the mean private AUC. Each run is a policy with six scripts, three honest and three
baited, in an order that the seed shuffles. With this reasoner policies differ little: all find the
script that scores best on the folds.
"""
N_PRIVATE = 1500
N_NUMBERS = 6  # columns
Tables = tuple[pd.DataFrame, pd.DataFrame]
"""Train and private rows, both with the label."""


class BaitPlan(NamedTuple):
    """One run; `without` is the guard that is off, `all` (none is) or `none` (all are)."""

    kind: str
    policy: str
    without: str
    seed: int

    def has_guard(self, guard: str) -> bool:
        """Whether a guard is on."""
        return self.without not in (guard, "none")


class BaitRow(TypedDict):
    """A run as one line of the results file."""

    kind: str
    policy: str
    without: str
    seed: int
    baited: bool | None  # None: nothing was handed over
    beaten: bool | None  # whether the run says that it beats the baseline
    cv: float | None
    private: float | None


# tasks


def make_entities(rng: np.random.Generator) -> Tables:
    """Rows of 100 persons; the label follows the person's level and, weakly, two columns."""
    n_people, n_rows = 100 + N_PRIVATE // 15, 15
    person = np.repeat(np.arange(n_people), n_rows)
    marks = rng.normal(size=(n_people, 4))[person] + rng.normal(0, 0.01, (len(person), 4))
    signal = rng.normal(size=(len(person), 2))
    level = rng.normal(0, 2, n_people)[person]
    p = 1 / (1 + np.exp(-(level + signal @ [0.9, -0.6])))
    frame = name_columns(np.column_stack([signal, marks]))
    frame.insert(0, "person", [f"p{i:04d}" for i in person])
    frame["label"] = (rng.random(len(person)) < p).astype(int)
    return split_at(frame, 100 * n_rows)


def make_near_copies(rng: np.random.Generator) -> Tables:
    """A third of the training rows are others with a little noise, and have their labels."""
    n = 1000
    x = rng.normal(size=(n + N_PRIVATE, N_NUMBERS))
    p = 1 / (1 + np.exp(-(x[:, :2] @ [0.9, -0.6])))
    frame = name_columns(x)
    frame["label"] = (rng.random(len(x)) < p).astype(int)
    train, private = split_at(frame, n)
    copies = train.sample(n // 2, random_state=int(rng.integers(1 << 30)))
    numbers = copies.columns[:N_NUMBERS]
    copies[numbers] *= 1 + rng.normal(0, 0.003, (len(copies), N_NUMBERS))
    both = pd.concat([train, copies]).sample(frac=1, random_state=int(rng.integers(1 << 30)))
    return both.reset_index(drop=True), private


def make_noise(rng: np.random.Generator) -> Tables:
    """Columns that say nothing about the label."""
    frame = name_columns(rng.normal(size=(1500 + N_PRIVATE, N_NUMBERS)))
    frame["label"] = rng.integers(0, 2, len(frame))
    return split_at(frame, 1500)


def name_columns(values: Any) -> pd.DataFrame:
    """Return an array as columns that are numbered from x0."""
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])


def split_at(frame: pd.DataFrame, n: int) -> Tables:
    """Split a table at a row."""
    return frame.iloc[:n].reset_index(drop=True), frame.iloc[n:].reset_index(drop=True)


MAKERS = {"entities": make_entities, "near_copies": make_near_copies, "noise": make_noise}


def write_bait_task(plan: BaitPlan, place: Path) -> None:
    """Write the task and, beside it, its private answers, unless it exists."""
    if (place / "task.yaml").exists():
        return
    rng = np.random.default_rng([plan.seed, *plan.kind.encode()])
    train, private = MAKERS[plan.kind](rng)
    train.insert(0, "id", np.arange(len(train)))
    private.insert(0, "id", np.arange(len(private)) + len(train))
    hidden = place.with_name(place.name + "-private")
    for folder in (place, hidden):
        folder.mkdir(parents=True, exist_ok=True)
    train.to_csv(place / "train.csv", index=False)
    private.drop(columns="label").to_csv(place / "test.csv", index=False)
    private[["id", "label"]].to_csv(hidden / "answers.csv", index=False)
    spec = "metric: auc\nid: id\ntarget: label\n"
    if not plan.has_guard("groups"):
        folds = pd.DataFrame({"id": train["id"], "fold": rng.integers(0, 3, len(train))})
        folds.to_csv(place / "folds.csv", index=False)
        spec += "split: file:folds.csv\n"
    (place / "task.yaml").write_text(spec)


# scripts

SCRIPT = """\
import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
fold = train["id"].map(pd.read_csv("input/folds.csv").set_index("id")["fold"]).to_numpy()
columns = {columns}
X, X_test, y = train[columns], test[columns], train["label"].to_numpy()


def fit():
    return make_pipeline(StandardScaler(), {model})


oof = np.zeros(len(train))
for k in sorted(set(fold[fold >= 0])):
    rows = fold != k
    oof[~rows] = fit().fit(X[rows], y[rows]).predict_proba(X[~rows])[:, 1]
kept = fold >= 0
pd.DataFrame({{"id": train["id"][kept], "label": oof[kept]}}).to_csv("oof.csv", index=False)
said = fit().fit(X, y).predict_proba(X_test)[:, 1]
pd.DataFrame({{"id": test["id"], "label": said}}).to_csv("submission.csv", index=False)
"""
TREES = "ExtraTreesClassifier(200, min_samples_leaf={leaf}, random_state=0)"
HONEST = {
    "two columns": ("['x0', 'x1']", "LogisticRegression(C=1)"),
    "two columns, trees": ("['x0', 'x1']", TREES.format(leaf=20)),
    "two columns, neighbours": ("['x0', 'x1']", "KNeighborsClassifier(60)"),
}
ALL = "['x0', 'x1', 'x2', 'x3', 'x4', 'x5']"
BAITED = {
    "nearest row": (ALL, "KNeighborsClassifier(1)"),
    "near rows": (ALL, "KNeighborsClassifier(5, weights='distance')"),
    "single rows, trees": (ALL, TREES.format(leaf=1)),
}


def render_scripts(chosen: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return name -> script."""
    return {
        name: f"# {name}\n" + SCRIPT.format(columns=columns, model=model)
        for name, (columns, model) in chosen.items()
    }


class BaitReasoner:
    """Plays the scripts in an order that the seed shuffles; it looks at nothing."""

    name = "bait"

    def __init__(self, seed: int) -> None:
        scripts = {**render_scripts(HONEST), **render_scripts(BAITED)}
        self.order = random.Random(f"bait/{seed}").sample(sorted(scripts.items()), len(scripts))

    def _solution(self, step: int, hypothesis: Hypothesis | None = None) -> Solution:
        name, script = self.order[step % len(self.order)]
        return Solution(script=script, summary=name, hypothesis=hypothesis)

    async def draft(self, brief: DraftBrief) -> Solution:
        """Return the script of the step."""
        return self._solution(brief.stage.step)

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Propose the script of the step."""
        name = self.order[brief.stage.step % len(self.order)][0]
        idea = Hypothesis(id="h0", challenge="none", statement=name, component="model")
        return Diagnosis(hypotheses=[idea])

    async def update(self, brief: UpdateBrief) -> Solution:
        """Return the script of the step."""
        return self._solution(brief.stage.step, brief.diagnosis.hypotheses[0])

    async def repair(self, brief: RepairBrief) -> Solution:
        """Return the next script: what was refused is not argued with."""
        return self._solution(brief.stage.step + brief.attempt)

    async def review(self, brief: ReviewBrief) -> Review:
        """Find nothing."""
        return Review()

    async def close(self) -> None:
        """Do nothing."""


def judge_without_gates(grade: Grade, **more: Any) -> Judgement:
    """Judge as the loop does, but as if no leak gate had objected."""
    others = [one for one in grade.problems if not one.code.startswith("leak_")]
    if grade.score is not None:
        grade = grade.model_copy(update={"ok": not others, "problems": others})
    return judge_attempt(grade, **more)


# runs


@dataclass(frozen=True)
class Benches:
    """A workbench with hidden audit rows and one without."""

    audited: Workbench
    plain: Workbench


async def play_plan(benches: Benches, plan: BaitPlan) -> BaitRow:
    """Make the task, run the policy on it once, and say what it handed over."""
    bench = benches.audited if plan.has_guard("audit") else benches.plain
    folds = "groups" if plan.has_guard("groups") else "random"
    name = f"{plan.kind}-{folds}-{plan.seed}"
    write_bait_task(plan, bench.root / "tasks" / name)
    settings = Settings(
        policy=plan.policy,
        traces=1,
        steps=STEPS,
        seed=bench.settings.seed,
        memory="off",
        n_folds=bench.settings.n_folds,
        audit=bench.settings.audit,
        check_labels=plan.has_guard("gates"),
        confirm=False,
        final_seeds=1,
        average_seeds=1,
    )
    rules = None if plan.has_guard("gates") else LoopRules(acceptance=judge_without_gates)
    run_name = hashlib.sha256("/".join(map(str, plan)).encode()).hexdigest()[:16]
    reasoner = BaitReasoner(plan.seed)
    account = await play_run(bench, name, settings, reasoner, run_name, keep=True, rules=rules)
    folder = bench.root / "runs" / run_name
    baited, beaten = read_handed_over(folder)
    remove_folder(folder)
    return {
        "kind": plan.kind,
        "policy": plan.policy,
        "without": plan.without,
        "seed": plan.seed,
        "baited": baited,
        "beaten": beaten,
        "cv": account["cv"],
        "private": account["private"],
    }


def read_handed_over(folder: Path) -> tuple[bool | None, bool | None]:
    """Return whether the solution, or a member of it, is baited, and whether it beats the baseline.

    None: nothing was handed over but the baseline.
    """
    events = list(iterate_events(folder / "events.jsonl"))
    final = next((event for event in reversed(events) if event["ev"] == "finalized"), None)
    if final is None:
        return None, None
    summaries = {e["id"]: e for e in events if e["ev"] == "attempt"}
    chosen = summaries.get(final["attempt"]) or {}
    members = list(chosen.get("members") or {}) or [final["attempt"]]
    names = [str(summaries.get(member, {}).get("summary", "")) for member in members]
    over = final.get("over_baseline") or {}
    return any(name in BAITED for name in names), over.get("beaten")


def list_plans(options: Any) -> Iterator[BaitPlan]:
    """Yield every run of the study."""
    for seed in range(options.seeds):
        for kind in options.kinds.split(","):
            for without in options.guards.split(","):
                for policy in options.policies.split(","):
                    yield BaitPlan(kind, policy, without, seed)


async def play_plans(options: Any) -> list[BaitRow]:
    """Run what the results file lacks and return all rows."""
    rows: list[BaitRow] = read_rows(options.runs)
    done = {(row["kind"], row["policy"], row["without"], row["seed"]) for row in rows}
    options.runs.parent.mkdir(parents=True, exist_ok=True)
    root = options.runs.with_suffix("")
    audited = open_workbench(root / "audited")
    plain = open_workbench(root / "plain")
    plain.settings = replace_settings(plain.settings, audit=False)
    try:
        for plan in list_plans(options):
            if tuple(plan) not in done:
                rows.append(await play_plan(Benches(audited, plain), plan))
                append_row(options.runs, rows[-1])
                print(json.dumps(rows[-1]), flush=True)
    finally:
        for bench in (audited, plain):
            await bench.worker.shut_down()
            await bench.sandbox.close()
    return rows


def replace_settings(settings: Settings, **changes: Any) -> Settings:
    """Return settings with some changed."""
    return settings.model_copy(update=changes)


# page


def render_page(rows: list[BaitRow]) -> str:
    """Return the tables: bait taken by guard and policy, and claims on noise."""
    parts = []
    for kind in [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]:
        own = [row for row in rows if row["kind"] == kind]
        field = "beaten" if kind == "noise" else "baited"
        title = "runs that claim to beat the baseline" if kind == "noise" else "bait handed over"
        parts += [f"**{kind}**: {title}", "", *share_table(own, field), ""]
    return "\n".join(parts)


def share_table(rows: list[BaitRow], field: str) -> list[str]:
    """Return a table of policies by guards: how many runs of how many, and the mean score."""
    guards = list(dict.fromkeys(row["without"] for row in rows))
    heads = {"all": "all guards on", "none": "all off"}
    lines = table_head(["policy", *(heads.get(one, f"without {one}") for one in guards)])
    for policy in dict.fromkeys(row["policy"] for row in rows):
        cells = [policy]
        for guard in guards:
            own = [r for r in rows if r["policy"] == policy and r["without"] == guard]
            n = sum(bool(row[field]) for row in own)  # type: ignore[literal-required]
            scores = [row["private"] for row in own if row["private"] is not None]
            mean = f" ({np.mean(scores):.3f})" if scores else ""
            cells.append(f"{n} of {len(own)}{mean}" if own else "not run")
        lines.append(table_row(cells))
    return lines


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = page_parser(__doc__, "bait.jsonl")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--guards", default=",".join(("all", *GUARDS, "none")))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="write the page, run nothing")
    options = parser.parse_args()
    rows = read_rows(options.runs) if options.page else asyncio.run(play_plans(options))
    text = render_page(rows)
    if options.page:
        n_seeds = len({row["seed"] for row in rows})
        note = provenance_note(f"python -m evals.studies.bait --seeds {n_seeds}")
        write_study_page(options.out, "bait.md", f"{ABOUT}\n{text}\n{note}")
    else:
        print(text)


if __name__ == "__main__":
    main()
