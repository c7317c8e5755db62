"""The plans of `python -m evals.studies.study`: which runs, with which settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

SKILLS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ABLATION_SKILL = 0.6
TAUGHT = "@taught"  # as `memory`: the memory of evals/studies/taught.py
TAUGHT_SCRIPTS = 12  # of each run that teaches it, whatever the budget of the runs that read it
CONDITION_SKILLS, INERT_SHARES = (0.0, 0.5, 1.0), (0.0, 0.9)
STRATEGIES = ("gome", "adaptive", "tree", "mcts", "random")
PLAIN_SETTINGS = {
    "memory": "off",
    "patience": 1000,
    "time_s": 3600,
    "run_time_s": 120,
    "max_failures": 1000,
    "confirm": False,
    "ensemble": False,
    "reuse": False,
    "top_k": 1,
    "final_seeds": 1,
    "average_seeds": 1,
    "review": False,
    "deal": "turns",
}
"""Settings of the crossover: no extras for any strategy, so that a step is one executed script."""
Changes = tuple[tuple[str, Any], ...]
ABLATION_WHOLE: Changes = (
    ("memory", TAUGHT),
    ("confirm", True),
    ("ensemble", True),
    ("top_k", 3),
    ("final_seeds", 2),
    ("finale", 4),
    ("patience", 3),
    ("deal", "promise"),
    ("reuse", True),
)
LINE_SKILLS = (0.8, 1.0)
RULES_SKILL = 0.6
FORMER: dict[str, Any] = {
    "surrogate": False,
    "false_accepts": 0.0,
    "step_p": 1.0,
    "variants": 0,
    "blend_pool": "accepted",
    "deal": "turns",
    "reuse": False,
    "ahead": 0,
}
"""The loop before the rules of the study; blends are handed over as now."""
ABLATION_WITHOUT: dict[str, Changes] = {
    "memory": (("memory", "off"), ("sharing", False)),
    "sharing": (("sharing", False),),
    "ensemble": (("ensemble", False),),
    "second seed": (("confirm", False),),
    "new rules": tuple(FORMER.items()),
}
"""Settings that the ablation takes away from the whole."""
NEW_RULES: dict[str, dict[str, Any]] = {
    "finer loss": {"surrogate": True},
    "run's bar": {"false_accepts": 0.1},
    "steps that add up": {"false_accepts": 0.1, "step_p": 0.7},
    "lines": {"variants": 8},
    "all valid blended": {"blend_pool": "valid"},
    "dealing": {"deal": "promise"},
    "reuse": {"reuse": True},
    "ahead": {"ahead": 6},
}
"""Each rule alone; steps that add up need the run's bar."""
RULES_BASE: dict[str, Any] = {
    "confirm": True,
    "ensemble": True,
    "patience": 3,
    "top_k": 3,
    "final_seeds": 2,
    "run_time_s": 30,
    "finale": 4,  # executions beyond the budget: second seeds of the finalists
}
"""What every condition of the rules has: two traces and a finale as in a user's run."""


class StudyCell(NamedTuple):
    """One run of a plan."""

    task: str
    strategy: str
    condition: str
    q: float
    seed: int
    inert: float = 0.5  # share of wrong ideas that change nothing
    blind: bool = False  # the diagnosis sees code and score only
    rule: str = "measured"  # evals/harness/rules.py
    traces: int = 1
    changes: Changes = ()  # settings of the condition

    @property
    def key(self) -> str:
        """What the run is called in the results file."""
        return f"{self.task}-{self.strategy}-{self.condition}-{self.q}-{self.seed}"


def plan_crossover(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield every strategy at every skill; of several first drafts `gome` follows the best."""
    dealt = (("deal", "promise"),)
    for seed, task, q, strategy in itertools.product(seeds, tasks, SKILLS, STRATEGIES):
        if strategy != "random" or q == SKILLS[0]:  # skill does not change drafts
            yield StudyCell(task, strategy, "plain", q, seed, changes=dealt)


def plan_conditions(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield what may make a crossover appear.

    Who accepts, whether the tree judges validity, whether it sees the evidence, the inert share.
    """
    for seed, task, q, inert in itertools.product(seeds, tasks, CONDITION_SKILLS, INERT_SHARES):
        share = f"inert {inert}"
        gome = StudyCell(task, "gome", share, q, seed, inert=inert)
        tree = StudyCell(task, "tree", share, q, seed, inert=inert)
        yield gome
        yield gome._replace(condition=f"verdict, {share}", rule="verdict")
        yield tree
        yield tree._replace(condition=f"blind, {share}", blind=True)
        yield tree._replace(condition=f"valid, {share}", rule="valid tree")
        yield tree._replace(condition=f"score, {share}", rule="score", changes=(("audit", False),))


def plan_ablation(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield the whole method and each part removed: four traces, a mostly right reasoner."""
    for seed, task in itertools.product(seeds, tasks):
        full = StudyCell(
            task, "gome", "full", ABLATION_SKILL, seed, traces=4, changes=ABLATION_WHOLE
        )
        yield full
        yield full._replace(condition="no diagnosis", blind=True)
        yield full._replace(condition="one trace", traces=1)
        for name, changes in ABLATION_WITHOUT.items():
            yield full._replace(condition=f"no {name}", changes=(*ABLATION_WHOLE, *changes))


def plan_lines(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield a run with line searches and one without, by a reasoner that knows the moves.

    One that is always right has no luck, so its first seed is all there is.
    """
    for seed, task, q in itertools.product(seeds, tasks, LINE_SKILLS):
        if q < 1 or seed == seeds[0]:
            for condition, variants in (("off", 0), ("on", 8)):
                changes = (("variants", variants),)
                yield StudyCell(task, "gome", condition, q, seed, changes=changes)


def plan_rules(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield the former rules, each new one alone, all, and what tells why one may hurt."""
    everything = FORMER.copy()
    for changes in NEW_RULES.values():
        everything |= changes
    conditions = {"former": FORMER, "all": everything}
    conditions |= {name: FORMER | changes for name, changes in NEW_RULES.items()}
    conditions["dealing and blends"] = FORMER | {"deal": "promise", "blend_pool": "valid"}
    conditions["all but lines"] = everything | {"variants": 0}
    for seed, task, (name, values) in itertools.product(seeds, tasks, conditions.items()):
        settings = tuple((RULES_BASE | values).items())
        yield StudyCell(task, "gome", name, RULES_SKILL, seed, traces=2, changes=settings)


def plan_dealing(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield executions dealt by promise and in turns, over two traces."""
    for seed, task, policy in itertools.product(seeds, tasks, ("gome", "adaptive")):
        for deal in ("turns", "promise"):
            changes = (("deal", deal), ("patience", 3))
            yield StudyCell(task, policy, deal, ABLATION_SKILL, seed, traces=2, changes=changes)


def plan_reuse(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield two traces whose scripts may build on each other or not, beside blends or without."""
    for seed, task in itertools.product(seeds, tasks):
        for blends, reuse in itertools.product((False, True), (False, True)):
            name = f"{'on' if reuse else 'off'}{', blends' if blends else ''}"
            changes = (("ensemble", blends), ("reuse", reuse), ("patience", 3))
            yield StudyCell(task, "gome", name, SKILLS[-1], seed, traces=2, changes=changes)


PLANS = {
    "crossover": plan_crossover,
    "conditions": plan_conditions,
    "ablation": plan_ablation,
    "dealing": plan_dealing,
    "reuse": plan_reuse,
    "lines": plan_lines,
    "rules": plan_rules,
}
