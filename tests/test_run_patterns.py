"""Patterns that meet what a script, a model or an endpoint sends take no longer than the text."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from briefs.logs import clean_log

ROOT = Path(__file__).parents[1]
PACKAGES = ("briefs", "memory", "nodes", "policies", "reasoner", "report", "rpc", "run", "sandbox")
UNITS = ("x", "1", " ", "# ", "a.", '"', "[", "`", "a: ", "http://")
N_CHARS = 30_000
ANCHORED = "reasoner.chat.answer.scripts"  # its patterns are asked of whole lines alone
LIMIT_S = 0.4  # CPU seconds; what is quadratic takes more than one


def compiled_patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the patterns that the modules of these packages define."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    for path in paths:
        if "re.compile(" in path.read_text():
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for key, value in vars(importlib.import_module(name)).items():
                if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                    yield f"{name}.{key}", value


def test_no_pattern_is_slow_on_a_long_line() -> None:
    found = dict(compiled_patterns())
    assert len(found) > 40
    for name, pattern in found.items():
        for unit in UNITS:
            long = unit * (N_CHARS // len(unit))
            look = pattern.fullmatch if name.startswith(ANCHORED) else pattern.search
            for text in (long + "!", "#" + long):
                began = time.process_time()
                look(text)
                assert time.process_time() - began < LIMIT_S, (name, text[:9])


def test_a_flood_of_one_word_is_cleaned_at_once() -> None:
    began = time.process_time()
    assert clean_log(("x" * 65_535 + "\n") * 5 + "DtypeWarning : mixed\n").count("x" * 65_535) == 3
    assert time.process_time() - began < 2
