"""What was measured of a recipe: numbers that only the command writes, under a seal.

The seal is a hash over the recipe's code, its conditions and the numbers. A recipe whose text was
changed after the measurement, or whose numbers were written by hand, is untested. Gome's own
recipes have a plain seal, since who can change them can change the program. For folders of others
the seal takes a key of this user, so that numbers that somebody else claims do not count here.

The verdict is that of a moderated t test (Smyth 2004) over tasks: with few tasks each, the spread
of a recipe's gains between tasks is drawn towards the spread that all recipes show. Its level is
that at which half a recipe of a book of a hundred gets a verdict by luck.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from memory.recipes.spec import Recipe, Strict, Word, load_plain_yaml, replace_evidence
from reasoner.protocol import RecipeVerdict

State = RecipeVerdict
KEY_FILE = Path("~/.gome/recipes.key")
MOST_TASKS = 40
HELPED_Z = 2.0
"""Gain in standard errors from which a recipe helped on a task; harmed from as much below 0."""
CAP_Z = 5.0
"""What is surer on one task says no more about others."""
LEAST_TASKS = 3
"""Of fewer, even 5 SE each give no verdict at LEVEL."""
LEVEL = 0.005
"""Of the verdict, both sides together."""
PRIOR_TASKS, PRIOR_SPREAD = 1.4, 1.5
"""The spread of gains between tasks that recipes show, and how many tasks it weighs
(`python -m evals.studies.recipes --spread`)."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class TaskGain(Strict):
    """The paired difference on one task, the recipe's script minus the plain one's."""

    task: Word
    metric: str = Field(max_length=60)
    rows: int = Field(ge=1)
    seeds: int = Field(ge=1)
    gain: Finite = Field(description="in metric units, positive = better")
    se: Finite = Field(ge=0)
    private: Finite | None = Field(None, description="the same on rows that no script saw")
    data: str = Field("", max_length=64, description="fingerprint of the tables, where known")

    @model_serializer(mode="wrap")
    def _leave_out_unknown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        value: dict[str, Any] = handler(self)
        return value if self.data else {key: value[key] for key in value if key != "data"}

    @property
    def z(self) -> float:
        """The gain in standard errors, at most CAP_Z either way."""
        return max(-CAP_Z, min(CAP_Z, self.gain / max(self.se, 1e-12)))


class Evidence(Strict):
    """All measurements of a recipe, with the seal."""

    measured: str = Field(max_length=40, description="day")
    by: str = Field(max_length=80, description="version of Gome")
    tasks: tuple[TaskGain, ...] = Field(max_length=MOST_TASKS)
    failed: tuple[str, ...] = Field((), max_length=MOST_TASKS, description="it crashed there")
    seal: str = Field("", max_length=64)

    @property
    def tried(self) -> frozenset[str]:
        """Names of the tasks on which it was run."""
        return frozenset((*(task.task for task in self.tasks), *self.failed))

    def measured_under(self, seeds: int) -> frozenset[str]:
        """Names of the tasks on which it was measured under so many seeds."""
        return frozenset(task.task for task in self.tasks if task.seeds >= seeds)

    @property
    def n_helped(self) -> int:
        """Tasks on which it gained two standard errors or more."""
        return sum(task.z >= HELPED_Z for task in self.tasks)

    @property
    def n_harmed(self) -> int:
        """Tasks on which it lost two standard errors or more."""
        return sum(task.z <= -HELPED_Z for task in self.tasks)

    @property
    def mean(self) -> float:
        """Mean gain over tasks in noise units (standard errors)."""
        return math.fsum(task.z for task in self.tasks) / max(1, len(self.tasks))

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of that mean for tasks like these, at LEVEL."""
        return self.interval_at(LEVEL)

    def interval_at(self, level: float) -> tuple[float, float]:
        """The interval that leaves out the mean for tasks like these at this rate."""
        n = max(1, len(self.tasks))
        squares = math.fsum((task.z - self.mean) ** 2 for task in self.tasks)
        known = PRIOR_TASKS + n - 1
        variance = max(1.0, (PRIOR_TASKS * PRIOR_SPREAD**2 + squares) / known)
        half = _t_quantile(known, level) * math.sqrt(variance / n)
        return self.mean - half, self.mean + half

    @property
    def hidden(self) -> tuple[int, int]:
        """On how many tasks hidden rows gained, and on how many they lost."""
        known = [task.private for task in self.tasks if task.private is not None]
        return sum(gain > 0 for gain in known), sum(gain < 0 for gain in known)

    @property
    def verdict(self) -> State:
        """What the numbers say; what hidden rows mostly deny is neutral."""
        if not self.tasks:
            return "untested"
        low, high = self.interval
        gained, lost = self.hidden
        if low > 0 and gained >= lost:
            return "helpful"
        return "harmful" if high < 0 and lost >= gained else "neutral"

    @property
    def _crashes(self) -> str:
        return f", its script failed on {len(self.failed)}" if self.failed else ""

    def tell(self) -> str:
        """Return what a prompt is told: a verdict where there is one, else the counts alone."""
        n = len(self.tasks)
        if not self.tasks:
            return ""
        counts = f"helped on {self.n_helped} of {n} other tasks, harmed on {self.n_harmed}"
        head = "measured" if self.verdict == "neutral" else f"measured as {self.verdict}"
        return f"{head}: {counts}{self._crashes}, mean gain over a plain script {self.mean:+.1f} SE"

    def describe(self) -> str:
        """Return the numbers in one line."""
        if not self.tasks:
            return f"untested: its script failed on {', '.join(self.failed[:3]) or 'no task'}"
        low, high = self.interval
        n = len(self.tasks)
        counts = f"helped {self.n_helped}, harmed {self.n_harmed}{self._crashes}"
        if n < LEAST_TASKS:
            where = "1 task" if n == 1 else f"{n} tasks"
            return (
                f"{self.verdict}: {self.mean:+.1f} SE on {where} (a verdict takes {LEAST_TASKS}), "
                f"{counts}"
            )
        return (
            f"{self.verdict}: {self.mean:+.1f} SE [{low:+.1f}, {high:+.1f}] on {n} tasks, {counts}"
        )


@cache
def _t_quantile(degrees: float, level: float) -> float:
    """Return the quantile of Student's t for an interval at this level."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - level / 2))


def read_evidence(recipe: Recipe) -> Evidence | None:
    """Return a recipe's evidence; None without one, or where it is not what the command wrote."""
    found = _parse_evidence(recipe.evidence.strip())
    if found is None:
        return None
    expected = seal_of(recipe, found, create=False)
    return found if hmac.compare_digest(expected, found.seal) and expected else None


@lru_cache(maxsize=1000)
def _parse_evidence(text: str) -> Evidence | None:
    """Return the numbers of a recipe's last section, whoever wrote them."""
    if not text.startswith("```yaml\n") or not text.endswith("```"):
        return None
    try:
        return Evidence.model_validate(load_plain_yaml(text[8:-3]))
    except (ValueError, ValidationError):
        return None


def merge_evidence(old: Evidence | None, new: Evidence) -> Evidence:
    """Return both; what was measured again counts once, as it was measured last."""
    if old is None:
        return new
    again = {task.data for task in new.tasks if task.data}
    kept = (task for task in old.tasks if task.task not in new.tried and task.data not in again)
    tasks = (*kept, *new.tasks)
    failed = (*(name for name in old.failed if name not in new.tried), *new.failed)
    return new.model_copy(update={"tasks": tasks[-MOST_TASKS:], "failed": failed[-MOST_TASKS:]})


def recipe_state(recipe: Recipe) -> State:
    """Return what is known by our own measurements."""
    evidence = read_evidence(recipe)
    return evidence.verdict if evidence else "untested"


def seal_of(recipe: Recipe, evidence: Evidence, *, create: bool) -> str:
    """Return the seal of these numbers for this recipe; empty where there is no key to make it.

    `create`: make this user's key if it is missing.
    """
    about = recipe.model_dump(mode="json", include={"id", "code", "when"})
    numbers = evidence.model_dump(mode="json", exclude={"seal"})
    text = json.dumps([about, numbers], sort_keys=True).encode()
    if not recipe.source:
        return hashlib.sha256(text).hexdigest()[:32]
    key = _user_key(create=create)
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:32] if key else ""


def _user_key(*, create: bool) -> bytes:
    path = KEY_FILE.expanduser()
    try:
        return bytes.fromhex(path.read_text())
    except FileNotFoundError:
        if not create:
            return b""
    except (OSError, ValueError):
        return b""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(32)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key.hex())
    return key


def with_evidence(text: str, recipe: Recipe, evidence: Evidence) -> str:
    """Return a recipe's file with this evidence under its seal, in place of any earlier one."""
    sealed = evidence.model_copy(update={"seal": seal_of(recipe, evidence, create=True)})
    value = sealed.model_dump(mode="json")
    body = yaml.safe_dump(value, sort_keys=False, width=100, default_flow_style=None)
    return replace_evidence(text, f"```yaml\n{body}```\n")
