"""Search/replace edits against a script: a matcher that forgives what models get wrong and refuses what it cannot be sure of.

Tried in turn: the exact text; without trailing blanks and blank lines; with another indentation; nearly alike lines.
Each demands that one place alone fits; a miss is an EditError that shows the model the nearest lines.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MAX_EDITS = 40
MAX_SCRIPT_CHARS = 400_000
MAX_LINES = 8_000
FUZZY_WORK = (
    60_000  # lines of the script x lines of the search; beyond it only exact lines are compared
)
ALIKE = 0.9  # mean likeness of lines from which a place is taken for the one meant
MAX_LINE = 400
MARGIN = 0.06  # by which it must exceed every other place
SHOWN_LINES, SHOWN_CHARS = 12, 1_500
ELISION = re.compile(
    r"^\s*#?\s*(?:\.{3}|…)\s*$"  # a line of dots
    r"|^\s*#\s*(?:\.{3}|…).*\b(?:rest|remain\w*|existing|unchanged|same|omitted|previous|other|code)\b"  # ... existing code ...
    r"|^\s*#\s*\W?\s*(?:the )?(?:rest|remainder) of (?:the |this |your )?(?:code|script|function|file|class|pipeline)\b.*(?:unchanged|same|as before|here|above|\.{3}|…)"
    r"|^\s*#\s*\W?\s*(?:existing|unchanged|previous) code\b",
    re.IGNORECASE,
)


class Edit(NamedTuple):
    """Lines to find, word for word, and the lines to put in their place."""

    search: str
    replace: str


class Place(NamedTuple):
    """Lines [start, stop) of a script, and the indentation to add to a replacement (negative: to take away)."""

    start: int
    stop: int
    shift: int = 0


class AnswerError(ValueError):
    """An answer that cannot be used; the message is for the model, which gets a turn to mend it."""


class EditError(AnswerError):
    """An edit that cannot be applied."""


def apply(script: str, edits: Sequence[Edit]) -> str:
    """The script after all edits, in order. Raises EditError, which names every edit that failed."""
    if len(script) > MAX_SCRIPT_CHARS or len(edits) > MAX_EDITS:
        raise EditError(
            f"At most {MAX_EDITS} edits of a script of at most {MAX_SCRIPT_CHARS} characters; give the whole script instead."
        )
    text, misses = unified(script), []
    for number, edit in enumerate(edits, 1):
        try:
            text = one(text, Edit(unified(edit.search), unified(edit.replace)))
        except EditError as error:
            misses.append(f"Edit {number}: {error}")
    if misses:
        raise EditError("\n\n".join(misses[:3]))
    if text == unified(script):
        raise EditError(
            "The edits leave the script as it was; change something or give the whole new script."
        )
    return text


def one(text: str, edit: Edit) -> str:
    check(edit)
    if text.count(edit.search) == 1 and edit.search.strip():
        return text.replace(edit.search, edit.replace, 1)
    lines = text.split("\n")
    place = locate(lines, edit.search.split("\n"))
    new = shifted(trimmed(edit.replace.split("\n")), place.shift)
    return "\n".join([*lines[: place.start], *new, *lines[place.stop :]])


def check(edit: Edit) -> None:
    """What no place can fit."""
    if not edit.search.strip():
        raise EditError(
            "`search` is empty. Quote the lines to be replaced; to insert, quote the line before and repeat it in `replace`."
        )
    if elided(edit.search) or elided(edit.replace):
        raise EditError(
            "`...` stands for lines left out. Quote every line in full, or make several small edits."
        )
    if edit.search == edit.replace:
        raise EditError("`search` and `replace` are the same; nothing would change.")


def elided(text: str) -> bool:
    """Does a line say that others were left out? (A lone `...` inside a body is Python; as a comment it is not.)"""
    return any(ELISION.match(line) and line.strip() != "..." for line in text.split("\n")) or bool(
        re.search(r"(?m)^\.\.\.$", text)
    )


def locate(lines: list[str], search: list[str]) -> Place:
    """The one place that fits. Raises EditError."""
    wanted = [line for line in search if line.strip()]
    index = [number for number, line in enumerate(lines[:MAX_LINES]) if line.strip()]
    kept = [lines[number] for number in index]
    for alike in (str.rstrip, str.strip, squeezed):
        found = list(windows([alike(line) for line in kept], [alike(line) for line in wanted]))
        if len(found) == 1:
            return placed(index, kept, wanted, found[0])
        if found:
            raise EditError(ambiguous([index[start] for start in found], wanted))
    start = fuzzy([squeezed(line) for line in kept], [squeezed(line) for line in wanted])
    if start is None:
        raise EditError(missed(lines, wanted))
    return placed(index, kept, wanted, start)


def windows(kept: list[str], wanted: list[str]) -> Iterator[int]:
    """Where the wanted lines stand in a row (blank lines left out on both sides)."""
    n = len(wanted)
    for start in range(len(kept) - n + 1):
        if kept[start] == wanted[0] and kept[start : start + n] == wanted:
            yield start


def placed(index: list[int], kept: list[str], wanted: list[str], start: int) -> Place:
    have, said = indent(kept[start]), indent(wanted[0])
    return Place(index[start], index[start + len(wanted) - 1] + 1, have - said)


def fuzzy(kept: list[str], wanted: list[str]) -> int | None:
    """The window whose lines are nearly the wanted ones, if no other comes close."""
    n = len(wanted)
    if n > len(kept) or len(kept) * n > FUZZY_WORK:
        return None
    scored = sorted(
        ((likeness(kept[at : at + n], wanted), at) for at in candidates(kept, wanted)), reverse=True
    )
    if not scored or scored[0][0] < ALIKE:
        return None
    best, at = scored[0]
    rivals = [score for score, other in scored[1:] if abs(other - at) >= n]
    return at if not rivals or best - rivals[0] >= MARGIN else None


def candidates(kept: list[str], wanted: list[str]) -> list[int]:
    """Windows worth a closer look: some of their lines are the wanted ones, or the search is short."""
    n, have = len(wanted), Counter(wanted)
    if n <= 3:
        return list(range(len(kept) - n + 1))
    return [
        at
        for at in range(len(kept) - n + 1)
        if sum((Counter(kept[at : at + n]) & have).values()) >= n // 3
    ]


def likeness(these: Sequence[str], those: Sequence[str]) -> float:
    """Mean likeness of lines pair by pair, long lines weighing more."""
    total, got = 0, 0.0
    for one_line, other in zip(these, those, strict=True):
        weight = len(one_line) + len(other)
        total += weight
        got += weight * (1.0 if one_line == other else ratio(one_line, other))
    return got / max(total, 1)


def ratio(one_line: str, other: str) -> float:
    if (
        max(len(one_line), len(other)) > MAX_LINE
    ):  # beyond it only equal lines are alike: comparing is quadratic
        return 0.0
    matcher = difflib.SequenceMatcher(None, one_line, other, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() > 0.6 else 0.0


# the texts for the model


def ambiguous(starts: list[int], wanted: list[str]) -> str:
    places = ", ".join(str(start + 1) for start in starts[:6])
    return f"`search` fits {len(starts)} places (lines {places}). Quote more lines around it, so that one place alone fits.\n{quoted(wanted)}"


def missed(lines: list[str], wanted: list[str]) -> str:
    near = nearest(lines, wanted)
    text = f"`search` does not occur in the script:\n{quoted(wanted)}"
    if near is None:
        return f"{text}\nNothing in the script resembles it. Copy lines from the script as it stands, or give the whole new script."
    shown = lines[max(0, near - 1) : near + min(len(wanted), SHOWN_LINES) + 1]
    return f"{text}\nThe nearest lines of the script (from line {max(1, near)}) are:\n{quoted(shown)}\nCopy them exactly."


def nearest(lines: list[str], wanted: list[str]) -> int | None:
    """Line of the script that is most like the longest wanted line."""
    key = max(wanted, key=len)
    aim = squeezed(key)[:200]
    best, at = 0.0, None
    for number, line in enumerate(lines[:2000]):
        matcher = difflib.SequenceMatcher(None, squeezed(line)[:200], aim, autojunk=False)
        if (
            matcher.real_quick_ratio() > best
            and matcher.quick_ratio() > best
            and (score := matcher.ratio()) > best
        ):
            best, at = score, number
    return max(0, at - wanted.index(key)) if at is not None and best > 0.5 else None


def quoted(lines: list[str]) -> str:
    more = f"\n[{len(lines) - SHOWN_LINES} more lines]" if len(lines) > SHOWN_LINES else ""
    return "```\n" + "\n".join(lines[:SHOWN_LINES])[:SHOWN_CHARS] + "\n```" + more


# lines


def unified(text: str) -> str:
    """One kind of line end, no byte order mark, blanks that only look like a space as spaces."""
    return (
        text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    )


def squeezed(line: str) -> str:
    return " ".join(line.split())


def indent(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())


def trimmed(lines: list[str]) -> list[str]:
    """Without blank lines at both ends."""
    start, stop = 0, len(lines)
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return lines[start:stop]


def shifted(lines: list[str], by: int) -> list[str]:
    """Every line further in (or out) by so many columns."""
    if by == 0:
        return lines
    return [
        " " * max(0, indent(line) + by) + line.lstrip() if line.strip() else line for line in lines
    ]
