"""The studies: acceptance rules, medals, paired intervals, the headline of the README."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals.harness import suites
from evals.harness.rules import choose_in_valid_tree, judge_by_score, judge_by_verdict
from evals.harness.statistics import mean_interval, paired_difference
from evals.studies import crossover, curves, lines, rules
from evals.studies.conditions import scores_by_variant, variant_name
from evals.studies.medals import PoolEntry, award_medal, draw_field
from evals.studies.plans import PLANS, SKILLS, STRATEGIES
from evals.studies.taught import TaughtMemory, taught_folder
from memory.protocol import Record
from policies.protocol import View
from run.history import HistoryEntry
from scoring.acceptance import TieBreak, judge_attempt
from task.types import Grade, Paired, Problem, Score


def grade(d: float, *, leak: bool = False) -> Grade:
    problems = [Problem(code="leak_column", message="gives the label away")] if leak else []
    best = Paired(d=d, se=0.1, p_improved=0.5)
    return Grade(
        ok=not leak, problems=problems, score=Score(value=0.5, se=0.1), paired={"best": best}
    )


GIVEN: dict[str, Any] = {
    "z": 1.0,
    "has_best": True,
    "new": TieBreak(1.0, 100),
    "best": TieBreak(1.0, 100),
}


def test_a_verdict_is_the_measured_one_at_full_skill_and_a_coin_at_none() -> None:
    differences = [i / 100 - 0.5 for i in range(400)]
    right = [judge_attempt(grade(d), **GIVEN).verdict for d in differences]
    assert [judge_by_verdict(1.0, 0)(grade(d), **GIVEN).verdict for d in differences] == right
    said = [judge_by_verdict(0.0, 0)(grade(d), **GIVEN).verdict for d in differences]
    agree = sum(a == b for a, b in zip(said, right, strict=True))
    assert 150 < agree < 250
    assert said == [
        judge_by_verdict(0.0, 0)(grade(d), **GIVEN).verdict for d in differences
    ]  # the same luck for the same difference
    assert (
        judge_by_verdict(0.0, 0)(grade(1.0, leak=True), **GIVEN).verdict == "rejected"
    )  # a gate is no matter of opinion


def test_plain_scores_accept_a_leak_and_any_gain() -> None:
    assert (
        judge_by_score(grade(0.001, leak=True), **GIVEN).replaces
        and not judge_by_score(grade(-0.001), **GIVEN).replaces
    )
    assert not judge_attempt(grade(0.001, leak=True), **GIVEN).replaces


def attempt(number: int, score: float, verdict: str) -> HistoryEntry:
    name, ref = f"a{number}", f"r{number}"
    return HistoryEntry(name, ref=ref, kind="draft", score=score, verdict=verdict)


def test_the_valid_tree_improves_the_accepted_best_not_the_highest_score() -> None:
    attempts = [
        attempt(i, score, "rejected" if score > 0.9 else "accepted")
        for i, score in enumerate((0.99, 0.8, 0.7, 0.6, 0.5))
    ]
    view = View(attempts=attempts, best="r1", open_hypotheses=0, direction="max")
    assert choose_in_valid_tree(view, random.Random(0)).base == "r1"


@pytest.mark.parametrize("direction", ["max", "min"])
def test_medals_follow_the_rank_in_a_field_of_a_hundred(direction: str) -> None:
    sign = 1 if direction == "max" else -1
    board = [float(sign * value) for value in range(100, 0, -1)]  # best first
    assert [award_medal(sign * value, board) for value in (91, 90, 81, 80, 61, 60)] == [
        "gold",
        "silver",
        "silver",
        "bronze",
        "bronze",
        "",
    ]
    assert award_medal(None, board) == ""
    made = draw_field([PoolEntry(sign * i, sign * i) for i in range(30)], direction)
    assert (
        len(made) == 100
        and made == sorted(made, reverse=direction == "max")
        and made[0] == sign * 29
    )


def test_differences_are_paired_by_task_and_seed() -> None:
    one = {"a": {0: 0.5, 1: 0.9}, "b": {0: 0.2}}
    two = {"a": {0: 0.4, 1: 0.8}, "b": {0: 0.1, 7: 9.0}, "c": {0: 1.0}}
    found = paired_difference(one, two)
    assert (
        found.mean == pytest.approx(0.1)
        and found.low == pytest.approx(0.1)
        and found.high == pytest.approx(0.1)
    )
    assert mean_interval(one).low <= mean_interval(one).mean <= mean_interval(one).high


def test_a_run_without_a_submission_counts_as_the_worst() -> None:
    ends = {"default": 2.0, "reference": 1.0}
    assert (
        suites.normalise_score(None, ends) == -1
        and suites.normalise_score(1.5, ends) == 0.5
        and suites.normalise_score(-9.0, ends) == 1.3
    )


def rows() -> list[Any]:
    ends = suites.load_references()
    skill = {"gome": 0.9, "adaptive": 0.8, "tree": 0.5, "mcts": 0.4, "random": 0.2}
    return [
        row(task, strategy, q, seed, q * skill[strategy], ends[task])
        for task in ("ratio", "credit_leak")
        for strategy in STRATEGIES
        for q in SKILLS
        for seed in (0, 1)
    ]


def row(
    task: str, strategy: str, q: float, seed: int, score: float, ends: dict[str, float]
) -> dict[str, Any]:
    return {
        "task": task,
        "strategy": strategy,
        "q": q,
        "seed": seed,
        "attempts": 12,
        "improvement_rate": 0.3,
        "seconds": 6.0,
        "failed": 0,
        "best_so_far": [None, 1.0, 1.0, 1.0 + score],
        "spent": {"draft": [5, 2], "directed": [7, 1]},
        "calibration": {"n": 6, "helped": 3 * (q > 0.5), "confidence": 0.6, "brier": 0.2},
        "private": ends["default"] + score * (ends["reference"] - ends["default"]),
    }


@pytest.mark.slow
def test_the_page_and_the_headline_come_from_the_runs(tmp_path: Path) -> None:
    text = crossover.crossover_page(rows())
    assert "| gome | 0.00 [0.00, 0.00] | 0.18 [0.18, 0.18]" in text and "| gome - tree |" in text
    assert (
        "| gome | 0% (60%) | 0% (60%) | 0% (60%) | 50% (60%) |" in text
    )  # predictions that came true, and what was stated
    assert "| directed | 7.0, 14% |" in text and "| gome | 12.0 | 6.0 | 0.00 | 3.7 |" in text
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{crossover.BEGIN}\nold\n{crossover.END}\nafter\n")
    for _ in range(2):
        crossover.replace_headline(readme, crossover.headline_text(rows()))
    found = readme.read_text()
    assert (
        found.startswith("before\n")
        and found.endswith("\nafter\n")
        and "old" not in found
        and found.count("gome` reaches 0.90") == 1
    )


def test_curves_go_from_the_first_draft_to_the_best_that_any_run_reached() -> None:
    scale = curves.task_scales(rows())
    assert scale["ratio"] == (1.0, 1.9)
    own = [row for row in rows() if (row["strategy"], row["q"]) == ("tree", 1.0)]
    # a run that ended early keeps its last score
    assert rounded_curve(own, scale) == [None, 0.0, 0.0, 0.556, 0.556, 0.556]
    assert curves.final_scores(rows())["gome", 1.0]["ratio"] == {
        0: pytest.approx(1.0),
        1: pytest.approx(1.0),
    }


def test_the_page_of_rules_pairs_runs_by_task_and_seed_and_says_what_was_run() -> None:
    ends = suites.load_references()
    gains = {"former": 0.0, "dealing": 0.1, "all": 0.3}
    runs: list[Any] = []
    for task, seed, budget in itertools.product(("ratio", "credit_leak"), (0, 1), (10, 30)):
        for name, gain in gains.items():
            made = row(task, "gome", 0.6, seed, 0.2 * (task == "ratio") + gain, ends[task])
            lead = {"executions": 1, "seconds": 1.0, "score": 1.0, "private": made["private"]}
            search = {"executions": budget, "seconds": 9.0 + gain * 10, "leads": [lead]}
            runs.append(made | {"condition": name, "budget": budget, "search": search})
    text = rules.rules_page(runs[:-3], "--seeds 2")  # the last task and seed is missing at 30
    assert "| all | 4 | 0.400 | +0.300 [+0.300, +0.300] | 4 / 0 | 0.400 |" in text
    assert "| all | 3 |" in text and "*dealing*: several" in text and "*lines*" not in text
    assert "30 scripts: 9 runs of 2 tasks, 1 under 2 seeds, 1 under 1 seed." in text
    assert "| task | dealing | all |" in text and "| ratio | +0.100 | +0.300 |" in text
    assert "## 30 executed scripts" in text and "| ratio | 2 | 0.200 | 0.500 |" in text


def test_the_page_of_lines_compares_within_a_skill_and_says_what_gains_and_loses() -> None:
    ends = suites.load_references()
    runs: list[Any] = []
    for q, name, task in itertools.product((0.8, 1.0), ("off", "on"), ("ratio", "randhie")):
        score = 0.5 + 0.2 * (name == "on") - 0.1 * q
        made = row(task, "gome", q, 0, score, ends[task]) | {"condition": name, "accepted": 1}
        lead = {"executions": 1, "seconds": 5.0, "score": 1.0, "private": made["private"]}
        used = {"executions": 10, "seconds": 10.0 if name == "off" else 30.0, "leads": [lead]}
        runs.append(made | {"search": used, "seconds": used["seconds"]})
    only_off = [run for run in runs if run["q"] == 0.8 or run["condition"] == "off"]
    assert {run["q"] for run in lines.pair_rows(only_off)} == {0.8}
    table = "\n".join(lines.difference_lines([run for run in runs if run["q"] == 1.0]))
    assert "| final private score | 0.400 | 0.600 | +0.200 [+0.200, +0.200] |" in table
    assert "2 pairs over 2 tasks, too few" in table


def rounded_curve(own: list[Any], scale: dict[str, tuple[float, float]]) -> list[float | None]:
    values = curves.mean_curve(own, scale, 6)
    return [None if math.isnan(value) else round(value, 3) for value in values]


def test_the_curve_of_a_run_follows_what_led_also_where_nothing_was_accepted() -> None:
    ends = suites.load_references()["ratio"]  # lower is better
    led = [(1, 1.0), (3, 0.9), (4, 0.8)]
    leads = [{"executions": n, "seconds": 1.0, "score": score, "private": None} for n, score in led]
    made: Any = row("ratio", "gome", 1.0, 0, 0.5, ends)
    search = {"executions": 5, "seconds": 5.0, "leads": leads}
    assert curves.score_curve(made | {"search": search}) == [-1.0, -1.0, -0.9, -0.8, -0.8]
    assert curves.score_curve(made) == made["best_so_far"]


def test_plans_name_every_run_once_and_conditions_are_distinct() -> None:
    for plan in PLANS.values():
        cells = list(plan(["ratio", "randhie"], range(2)))
        assert len({cell.key for cell in cells}) == len(cells)
    conditions = [cell._asdict() for cell in PLANS["conditions"](["ratio"], range(1))]
    assert {variant_name(cell) for cell in conditions} == {
        "gome",
        "gome, verdict",
        "tree",
        "tree, blind",
        "tree, valid",
        "tree, score",
    }
    scored: list[Any] = [cell | {"private": 0.0} for cell in conditions]
    assert len(scores_by_variant(scored)) == len(scored)


def test_a_taught_memory_contains_other_tasks_only_and_stores_nothing_of_a_measured_run(
    tmp_path: Path,
) -> None:
    from memory.backend import FolderBackend
    from memory.embed import CachedEmbedding
    from memory.lexical import LexicalEmbedding

    def learnt(task: str, run: str) -> Record:
        return Record(
            kind="accepted",
            challenge="the target is skewed",
            hypothesis=f"fit the logarithm of the target of {task}",
            component="model",
            task_hash=task,
            gain=1.0,
            gain_se=0.1,
            run=run,
        )

    embedding = CachedEmbedding(LexicalEmbedding())
    folder = FolderBackend(taught_folder(tmp_path, 0.5), embedding, print)
    folder.put([learnt("own", "teacher"), learnt("other", "teacher")])
    folder.close()
    taught = TaughtMemory(tmp_path, 0.5)
    challenge, hypothesis = "the target is skewed", "fit the logarithm of the target"
    try:
        for run in ("first", "second"):
            memory = taught.memory(run)
            hints = memory.recall(challenge, hypothesis, task_hash="own")
            assert [hint.record.task_hash for hint in hints] == ["other"]
            memory.record(learnt("own", run))
            hints = memory.recall(challenge, hypothesis, task_hash="own")
            sources = {(hint.record.task_hash, hint.record.run) for hint in hints}
            assert sources == {("other", "teacher"), ("own", run)}
    finally:
        taught.close()


def test_ranks_of_right_answers_make_the_retrieval_figures_and_every_problem_has_answers() -> None:
    from evals.studies.retrieval import first_ranks, load_retrieval_set, retrieval_figures

    similarity = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
    ranks = first_ranks(similarity, [{0, 2}, {0}])
    assert list(ranks) == [1, 0]
    assert retrieval_figures(ranks) == {"R@1": 0.5, "R@3": 1.0, "R@5": 1.0, "MRR": 0.75}
    records, sets = load_retrieval_set()
    assert [len(queries.texts) for queries in sets.values()] == [55, 30, 30]
    for queries in sets.values():
        assert all(queries.texts) and all(queries.answers)
        assert max(max(right) for right in queries.answers) < len(records)
