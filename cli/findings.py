"""Findings of `gome doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """The result of one check. `remedy` says what to do about it."""

    name: str
    level: Level
    text: str
    remedy: str = ""
