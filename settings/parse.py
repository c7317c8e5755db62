"""Texts as people write settings: durations with a unit, a model's name for a list of one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from settings.field import AUTO, about_setting, auto_kinds

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Return the seconds of `90`, `90s`, `30m` or `12h`. Raises ValueError, also for 1e400."""
    unit = UNIT_SECONDS.get(text[-1:])
    seconds = float(text[:-1]) * unit if unit else float(text)
    if not math.isfinite(seconds):
        raise ValueError(f"{text[:80]} is no finite number")
    return seconds


def split_names(text: str) -> list[str]:
    """Return the names of a list that is written with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_setting_texts(given: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Return the values of settings, with texts read as the command line reads them.

    `time_s="5m"` is 300.0 and `model="gpt-5"` is ["gpt-5"]; other values are returned as they are.
    Raises ValueError for a text that is no duration and for a name that no setting has.
    """
    values = dict(given)
    for name, value in given.items():
        if name not in fields:
            raise ValueError(f"no setting is called {name!r}{suggest_near(name, fields)}")
        if not isinstance(value, str):
            continue
        if name == "model":
            values[name] = split_names(value)
        elif value == AUTO and auto_kinds(fields[name]):
            continue
        elif about_setting(fields[name]).unit == "s":
            try:
                values[name] = parse_duration(value)
            except ValueError:
                raise ValueError(
                    f"{name}: expected seconds, or a number with s, m or h (got {value[:80]!r})"
                ) from None
    return values


def suggest_near(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `, did you mean …?` for a name close to a known one, else an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f", did you mean `{close[0]}`?" if close else ""
