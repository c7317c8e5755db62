"""What was measured of a recipe: numbers that only the command writes, under a seal.

The seal is a hash over the recipe's code, its conditions and the numbers. A recipe whose text was
changed after the measurement, or whose numbers were written by hand, is untested. Gome's own
recipes have a plain seal, since who can change them can change the program. For folders of others
the seal takes a key of this user, so that numbers that somebody else claims do not count here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from memory.recipes.spec import Recipe, Strict, Word, load_plain_yaml

State = Literal["helpful", "neutral", "harmful", "untested"]
KEY_FILE = Path("~/.gome/recipes.key")
HELPED_Z, WIDTH_Z = 1.0, 1.96
TASK_SPREAD = 1.5
"""Standard deviation of a recipe's gain between tasks, in noise units, that is assumed at least."""
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

    @property
    def z(self) -> float:
        """The gain in standard errors, at most 10 either way."""
        return max(-10.0, min(10.0, self.gain / max(self.se, 1e-12)))


class Evidence(Strict):
    """All measurements of a recipe, with the seal."""

    measured: str = Field(max_length=40, description="day")
    by: str = Field(max_length=80, description="version of Gome")
    tasks: tuple[TaskGain, ...] = Field(max_length=60)
    failed: tuple[str, ...] = Field((), max_length=60, description="tasks on which it crashed")
    seal: str = Field("", max_length=64)

    @property
    def n_helped(self) -> int:
        """Tasks on which it gained a standard error or more."""
        return sum(task.z >= HELPED_Z for task in self.tasks)

    @property
    def n_harmed(self) -> int:
        """Tasks on which it lost a standard error or more."""
        return sum(task.z <= -HELPED_Z for task in self.tasks)

    @property
    def mean(self) -> float:
        """Mean gain over tasks in noise units (standard errors)."""
        return math.fsum(task.z for task in self.tasks) / max(1, len(self.tasks))

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval for tasks like these.

        A task's gain has an error of 1, and tasks differ: by TASK_SPREAD at least, more if seen.
        """
        n = max(1, len(self.tasks))
        spread = math.hypot(1.0, TASK_SPREAD)
        if n > 1:
            squares = math.fsum((task.z - self.mean) ** 2 for task in self.tasks)
            spread = max(spread, math.sqrt(squares / (n - 1)))
        half = WIDTH_Z * spread / math.sqrt(n)
        return self.mean - half, self.mean + half

    @property
    def verdict(self) -> State:
        """What the numbers say."""
        if not self.tasks:
            return "untested"
        low, high = self.interval
        return "helpful" if low > 0 else "harmful" if high < 0 else "neutral"

    def describe(self) -> str:
        """Return the numbers in one line."""
        low, high = self.interval
        n = len(self.tasks)
        return (
            f"{self.verdict}: {self.mean:+.1f} SE [{low:+.1f}, {high:+.1f}] on {n} "
            f"task{'s' * (n != 1)}, helped {self.n_helped}, harmed {self.n_harmed}"
        )


def read_evidence(recipe: Recipe) -> Evidence | None:
    """Return a recipe's evidence; None without one, or where it is not what the command wrote."""
    text = recipe.evidence.strip()
    if not text.startswith("```yaml\n") or not text.endswith("```"):
        return None
    try:
        found = Evidence.model_validate(load_plain_yaml(text[8:-3]))
    except (ValueError, ValidationError):
        return None
    expected = seal_of(recipe, found, create=False)
    return found if hmac.compare_digest(expected, found.seal) and expected else None


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
    before = text.partition("\n## Evidence\n")[0].rstrip()
    return f"{before}\n\n## Evidence\n```yaml\n{body}```\n"
