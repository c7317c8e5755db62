"""Which class a description asks the probability of."""

from __future__ import annotations

import re
from typing import NamedTuple

SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
ASKS = r"(?:probabilit\w+|likelihood|chance|confidence)\s+(?:of|that|for)\b"
MAX_WORDS_BETWEEN = 8
MAX_CHARS = 20_000


class SaidPositive(NamedTuple):
    """A class, and the sentence that asks for it."""

    label: str
    sentence: str


def find_said_positive(description: str, labels: list[str]) -> SaidPositive | None:
    """Find the one of two classes whose probability a text asks for, or that it calls 1.

    None where the text says nothing, or both.
    """
    found: dict[str, str] = {}
    for sentence in SENTENCE_END.split(description[:MAX_CHARS]):
        for label in labels:
            if says_positive(sentence, label, labels):
                found.setdefault(label, sentence.strip())
    if len(found) != 1:
        return None
    [(label, sentence)] = found.items()
    return SaidPositive(label, sentence[:200])


def says_positive(sentence: str, label: str, labels: list[str]) -> bool:
    """Whether a sentence asks for the probability of a class, or says that 1 means it."""
    word = rf"(?<!\w){re.escape(label.casefold())}s?(?!\w)"
    text = sentence.casefold()
    if re.search(
        rf"(?<![\w.])1(?:\.0)?\s*(?:=|:|means|is|for|if)\s*(?:an?\s+|the\s+)?{word}", text
    ):
        return True
    if re.search(rf"{word}\s*(?:=|:|is|as)\s*1(?![\w.])", text):
        return True
    between = rf"(?:\W+\w+){{0,{MAX_WORDS_BETWEEN}}}?\W+"
    asked = re.search(rf"{ASKS}(?P<between>{between}){word}", text)
    others = [other.casefold() for other in labels if other != label]
    return asked is not None and not any(
        re.search(rf"(?<!\w){re.escape(other)}s?(?!\w)", asked["between"]) for other in others
    )
