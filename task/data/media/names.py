"""Names that tell nothing: of held-back rows, and of files whose names tell the label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

MIN_TOLD = 0.5  # of the labels that the commonest one leaves open, from which names tell them
MAX_GROUPS = 0.34  # distinct texts per row: with more, a part of a name is an id
NUMBER = re.compile(r"(\d{1,15})")
SAME_P = 0.01
MAX_NAMES = 20_000
NAME_PARTS = re.compile(r"[^\W\d_]+|\d+")


def tells_labels(names: Sequence[str], labels: pd.Series[Any], seed: int = 0) -> bool:
    """Whether some part of the files' names gives the label: a folder, a word, a number.

    At most MAX_NAMES of them are looked at.
    """
    if len(names) > MAX_NAMES:
        chosen = np.random.default_rng(seed).choice(len(names), MAX_NAMES, replace=False)
        names, labels = [names[place] for place in chosen], labels.iloc[chosen]
    codes = pd.Series(pd.factorize(labels.astype(str))[0])
    if len(codes) < 10 or codes.nunique() < 2 or codes.nunique() > len(codes) / 2:
        return False
    shuffled = codes.sample(frac=1, random_state=seed).reset_index(drop=True)
    base = float(codes.value_counts(normalize=True).iloc[0])
    return any(is_telling(part, codes, shuffled, base) for part in name_parts(names))


def is_telling(
    part: pd.Series[str], codes: pd.Series[int], shuffled: pd.Series[int], base: float
) -> bool:
    """Whether rows with the same part have the same label far more often than by chance."""
    if not 2 <= part.nunique() <= MAX_GROUPS * len(part):
        return False
    chance = max(base, group_purity(part, shuffled))
    return group_purity(part, codes) > chance + MIN_TOLD * (1 - chance) and chance < 0.999


def group_purity(part: pd.Series[str], codes: pd.Series[int]) -> float:
    """Return the share of rows with the commonest label of their group."""
    counts = pd.crosstab(part.to_numpy(), codes.to_numpy())
    return float(counts.max(axis=1).sum() / len(codes))


def name_parts(names: Sequence[str]) -> Iterator[pd.Series[str]]:
    """Yield the folders of the names by depth, and words and numbers of the stems by place."""
    paths = [PurePosixPath(name) for name in names]
    yield pd.Series([str(path.parent) for path in paths])
    depth = max((len(path.parts) for path in paths), default=1)
    for level in range(1, depth):
        yield pd.Series([piece_at(path.parts, -level - 1) for path in paths])
    pieces = [NAME_PARTS.findall(path.stem) for path in paths]
    for place in (0, 1, 2, -1, -2):
        yield pd.Series([piece_at(words, place) for words in pieces])
    yield pd.Series([path.suffix for path in paths])


def piece_at(words: Sequence[str], place: int) -> str:
    """Return a word by its place; empty where there are fewer."""
    return words[place] if -len(words) <= place < len(words) else ""


def imitate_ids(
    style: Sequence[str], n: int, taken: Iterable[str], rng: np.random.Generator
) -> list[str] | None:
    """Draw ids that look like those of `style`; None where there are not enough of them.

    A drawn one is an id of `style` with other letters and digits, as they occur at these places.
    """
    known = set(taken) | set(style)
    if numbers := numbered_parts(style):
        return draw_numbered(numbers, n, known, rng)
    pools = place_pools(style)
    made: list[str] = []
    for _ in range(60 * n):
        if len(made) == n:
            break
        model = style[int(rng.integers(len(style)))]
        drawn = "".join(pool[int(rng.integers(len(pool)))] for pool in pools[len(model)])
        if drawn not in known:
            known.add(drawn)
            made.append(drawn)
    return made if len(made) == n else None


class NumberedIds(NamedTuple):
    """Ids that are a number between the same two texts."""

    before: str
    after: str
    width: int  # digits, led by zeros; 0: as many as it needs
    numbers: list[int]


def numbered_parts(ids: Sequence[str]) -> NumberedIds | None:
    """Take ids apart that differ in one number alone; None for others."""
    pieces = [NUMBER.split(text) for text in ids]
    if not pieces or len({len(parts) for parts in pieces}) > 1:
        return None
    varying = [
        place for place, parts in enumerate(zip(*pieces, strict=True)) if len(set(parts)) > 1
    ]
    if len(varying) != 1 or varying[0] % 2 == 0:
        return None
    place, first = varying[0], pieces[0]
    digits = [parts[place] for parts in pieces]
    is_padded = any(text[0] == "0" and len(text) > 1 for text in digits)
    width = len(digits[0]) if is_padded and len(set(map(len, digits))) == 1 else 0
    before, after = "".join(first[:place]), "".join(first[place + 1 :])
    return NumberedIds(before, after, width, [int(text) for text in digits])


def draw_numbered(
    ids: NumberedIds, n: int, known: set[str], rng: np.random.Generator
) -> list[str] | None:
    """Draw free numbers among those of the ids, and beyond them where few are free."""
    low, high = min(ids.numbers), max(ids.numbers)
    span = high - low + 1
    top = high + 1 + max(0, 4 * (n + len(ids.numbers)) - span)
    made: list[str] = []
    for _ in range(60 * n):
        if len(made) == n:
            break
        text = f"{ids.before}{str(int(rng.integers(low, top))).zfill(ids.width)}{ids.after}"
        if text not in known:
            known.add(text)
            made.append(text)
    return made if len(made) == n else None


def look_alike(ids: Sequence[str], style: Sequence[str]) -> bool:
    """Whether ids cannot be told from those of `style`: numbers of one range, or equal forms."""
    numbers, others = numbered_parts(style), numbered_parts(ids)
    if numbers or others:
        if not numbers or not others or numbers[:3] != others[:3]:
            return False
        return bool(stats.ks_2samp(numbers.numbers, others.numbers).pvalue > SAME_P)
    pools = place_pools(style)
    fitting = sum(
        all(letter in pool for letter, pool in zip(text, pools.get(len(text), ()), strict=False))
        and len(text) in pools
        for text in ids
    )
    return fitting >= 0.98 * len(ids)


def place_pools(style: Sequence[str]) -> dict[int, list[str]]:
    """Return the characters to draw from at every place of an id, by the id's length.

    Where ten or more differ at a place, all of their kind are drawn from.
    """
    by_length: dict[int, list[str]] = {}
    for text in style:
        by_length.setdefault(len(text), []).append(text)
    return {
        length: [widen_pool("".join(sorted(set(letters)))) for letters in zip(*texts, strict=True)]
        for length, texts in by_length.items()
    }


def widen_pool(seen: str) -> str:
    """Return the characters seen at a place; hex digits and digits in full once many are seen."""
    if len(seen) < 5:
        return seen
    if set(seen) <= set("0123456789"):
        return "0123456789"
    return "0123456789abcdef" if set(seen) <= set("0123456789abcdef") else seen
