"""Apply search/replace edits to a script, tolerant of what models get wrong, never ambiguous.

Tried in turn: the exact text; lines without trailing blanks (blank lines ignored); with another
indentation; with other spacing; similar lines. Each step demands exactly one matching place. A
miss is an EditError that shows the model the nearest lines.
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
MAX_FUZZY_WORK = 60_000  # lines of script x lines of search; beyond it only exact lines match
MIN_SIMILARITY = 0.9  # mean similarity of lines from which a place is taken for the one meant
MIN_MARGIN = 0.06  # by which it must exceed every other place
MAX_LINE_CHARS = 400  # comparing is quadratic: longer lines are alike only if equal
MIN_QUICK_RATIO = 0.6
MIN_NEAREST_RATIO = 0.5
MAX_NEAREST_LINES = 2_000
MAX_QUOTED_LINES, MAX_QUOTED_CHARS = 12, 1_500
ELISION = re.compile(
    # a line of dots
    r"^\s*(?:#\s*)?(?:\.{3}|…)\s*$"
    # ... existing code ...
    r"|^\s*#\s*(?:\.{3}|…)"
    r".*\b(?:rest|remain\w*|existing|unchanged|same|omitted|previous|other|code)\b"
    # the rest of the function is unchanged
    r"|^\s*#\s*(?:[^\w\s]\s*)?(?:the )?(?:rest|remainder) of (?:the |this |your )?"
    r"(?:code|script|function|file|class|pipeline)\b"
    r".*(?:unchanged|same|as before|here|above|\.{3}|…)"
    # existing code
    r"|^\s*#\s*(?:[^\w\s]\s*)?(?:existing|unchanged|previous) code\b",
    re.IGNORECASE,
)


class Edit(NamedTuple):
    """Lines to find, word for word, and the lines that replace them."""

    search: str
    replace: str


class LineRange(NamedTuple):
    """Lines [start, stop) of a script. `shift` is added to the indentation of the replacement."""

    start: int
    stop: int
    shift: int = 0


class AnswerError(ValueError):
    """An answer that cannot be used. The message is for the model, which may correct it."""


class EditError(AnswerError):
    """An edit that cannot be applied."""


def apply_edits(script: str, edits: Sequence[Edit]) -> str:
    """Return the script after all edits, in order.

    Raises:
        EditError: names every edit that failed; nothing is applied then.
    """
    if len(script) > MAX_SCRIPT_CHARS or len(edits) > MAX_EDITS:
        raise EditError(
            f"At most {MAX_EDITS} edits of a script of at most {MAX_SCRIPT_CHARS} characters;"
            " give the whole script instead."
        )
    text, misses = normalize_line_ends(script), []
    for number, edit in enumerate(edits, 1):
        try:
            text = apply_edit(text, normalize_edit(edit, keep_no_break="\u00a0" in script))
        except EditError as error:
            misses.append(f"Edit {number}: {error}")
    if misses:
        raise EditError("\n\n".join(misses[:3]))
    if text == normalize_line_ends(script):
        raise EditError(
            "The edits leave the script as it was; change something or give the whole new script."
        )
    return text


def apply_edit(text: str, edit: Edit) -> str:
    """Return the text after one edit. Raises EditError."""
    check_edit(edit)
    if text.count(edit.search) == 1 and edit.search.strip():
        return text.replace(edit.search, edit.replace, 1)
    lines = text.split("\n")
    place = locate_lines(lines, edit.search.split("\n"))
    new = shift_lines(trim_blank_lines(edit.replace.split("\n")), place.shift)
    return "\n".join([*lines[: place.start], *new, *lines[place.stop :]])


def check_edit(edit: Edit) -> None:
    """Raise EditError for an edit that fits no script."""
    if not edit.search.strip():
        raise EditError(
            "`search` is empty. Quote the lines to be replaced; to insert, quote the line before"
            " and repeat it in `replace`."
        )
    if has_elision(edit.search) or has_elision(edit.replace):
        raise EditError(
            "`...` stands for lines left out. Quote every line in full, or make several small"
            " edits."
        )
    if edit.search == edit.replace:
        raise EditError("`search` and `replace` are the same; nothing would change.")


def has_elision(text: str) -> bool:
    """Whether a line says that others were left out.

    An indented `...` alone is valid Python; as a comment or unindented it is an elision.
    """
    if any(ELISION.match(line) and line.strip() != "..." for line in text.split("\n")):
        return True
    return bool(re.search(r"(?m)^\.\.\.$", text))


def locate_lines(lines: list[str], search: list[str]) -> LineRange:
    """Return the only place that matches. Raises EditError."""
    wanted = [line for line in search if line.strip()]
    index = [number for number, line in enumerate(lines[:MAX_LINES]) if line.strip()]
    present = [lines[number] for number in index]
    for normalize in (str.rstrip, str.strip, collapse_spaces):
        normal_present = [normalize(line) for line in present]
        normal_wanted = [normalize(line) for line in wanted]
        starts = list(exact_windows(normal_present, normal_wanted))
        if len(starts) == 1:
            return window_range(index, present, wanted, starts[0])
        if starts:
            raise EditError(ambiguity_message([index[start] for start in starts], wanted))
    start = find_similar_window(
        [collapse_spaces(line) for line in present], [collapse_spaces(line) for line in wanted]
    )
    if start is None:
        raise EditError(miss_message(lines, wanted))
    return window_range(index, present, wanted, start)


def exact_windows(present: list[str], wanted: list[str]) -> Iterator[int]:
    """Yield where the wanted lines occur in a row; both lists are without blank lines."""
    n = len(wanted)
    for start in range(len(present) - n + 1):
        if present[start] == wanted[0] and present[start : start + n] == wanted:
            yield start


def window_range(index: list[int], present: list[str], wanted: list[str], start: int) -> LineRange:
    """Return the script's lines of a window. `index` are the line numbers of `present`."""
    shift = indent_width(present[start]) - indent_width(wanted[0])
    return LineRange(index[start], index[start + len(wanted) - 1] + 1, shift)


def find_similar_window(present: list[str], wanted: list[str]) -> int | None:
    """Return the window whose lines nearly match, if no other comes close."""
    n = len(wanted)
    if n > len(present) or len(present) * n > MAX_FUZZY_WORK:
        return None
    scores = [
        (window_similarity(present[start : start + n], wanted), start)
        for start in candidate_windows(present, wanted)
    ]
    scores.sort(reverse=True)
    if not scores or scores[0][0] < MIN_SIMILARITY:
        return None
    best, best_start = scores[0]
    rivals = [score for score, start in scores[1:] if abs(start - best_start) >= n]
    return best_start if not rivals or best - rivals[0] >= MIN_MARGIN else None


def candidate_windows(present: list[str], wanted: list[str]) -> list[int]:
    """Return the windows worth comparing: a third of the lines match, or the search is short."""
    n, counts = len(wanted), Counter(wanted)
    starts = range(len(present) - n + 1)
    if n <= 3:
        return list(starts)

    def n_common(start: int) -> int:
        return sum((Counter(present[start : start + n]) & counts).values())

    return [start for start in starts if n_common(start) >= n // 3]


def window_similarity(lines: Sequence[str], others: Sequence[str]) -> float:
    """Return the mean similarity (0..1) of lines pair by pair, weighted by length."""
    total, weighted = 0, 0.0
    for line, other in zip(lines, others, strict=True):
        weight = len(line) + len(other)
        total += weight
        weighted += weight * (1.0 if line == other else line_similarity(line, other))
    return weighted / max(total, 1)


def line_similarity(line: str, other: str) -> float:
    """Return the similarity (0..1) of two different lines; 0 where it is not worth computing."""
    if max(len(line), len(other)) > MAX_LINE_CHARS:
        return 0.0
    matcher = difflib.SequenceMatcher(None, line, other, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() > MIN_QUICK_RATIO else 0.0


# messages for the model


def ambiguity_message(starts: list[int], wanted: list[str]) -> str:
    """Return which places match the search."""
    places = ", ".join(str(start + 1) for start in starts[:6])
    return (
        f"`search` fits {len(starts)} places (lines {places}). Quote more lines around it,"
        f" so that one place alone fits.\n{quote_lines(wanted)}"
    )


def miss_message(lines: list[str], wanted: list[str]) -> str:
    """Return that the search does not occur, with the nearest lines of the script."""
    text = f"`search` does not occur in the script:\n{quote_lines(wanted)}"
    near = find_nearest_line(lines, wanted)
    if near is None:
        return (
            f"{text}\nNothing in the script resembles it."
            " Copy lines from the script as it stands, or give the whole new script."
        )
    excerpt = lines[max(0, near - 1) : near + min(len(wanted), MAX_QUOTED_LINES) + 1]
    return (
        f"{text}\nThe nearest lines of the script (from line {max(1, near)}) are:\n"
        f"{quote_lines(excerpt)}\nCopy them exactly."
    )


def find_nearest_line(lines: list[str], wanted: list[str]) -> int | None:
    """Return where the search would start by the line most like its longest line, or None."""
    longest = max(wanted, key=len)
    target = collapse_spaces(longest)[:200]
    best, nearest = 0.0, None
    for number, line in enumerate(lines[:MAX_NEAREST_LINES]):
        matcher = difflib.SequenceMatcher(None, collapse_spaces(line)[:200], target, autojunk=False)
        if matcher.real_quick_ratio() <= best or matcher.quick_ratio() <= best:
            continue
        if (score := matcher.ratio()) > best:
            best, nearest = score, number
    if nearest is None or best <= MIN_NEAREST_RATIO:
        return None
    return max(0, nearest - wanted.index(longest))


def quote_lines(lines: list[str]) -> str:
    """Return the lines between fences, bounded."""
    n_more = len(lines) - MAX_QUOTED_LINES
    more = f"\n[{n_more} more lines]" if n_more > 0 else ""
    return "```\n" + "\n".join(lines[:MAX_QUOTED_LINES])[:MAX_QUOTED_CHARS] + "\n```" + more


# lines


def normalize_line_ends(text: str) -> str:
    r"""Return the text with \n line ends and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def normalize_edit(edit: Edit, *, keep_no_break: bool) -> Edit:
    """Return the edit with plain line ends, and no-break spaces as spaces where none are meant."""
    texts = [normalize_line_ends(text) for text in edit]
    return Edit(*(text if keep_no_break else text.replace("\u00a0", " ") for text in texts))


def collapse_spaces(line: str) -> str:
    """Return the line with single spaces between words and none around them."""
    return " ".join(line.split())


def indent_width(line: str) -> int:
    """Return the columns of indentation, a tab as 4."""
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def trim_blank_lines(lines: list[str]) -> list[str]:
    """Return the lines without blank ones at either end."""
    start, stop = 0, len(lines)
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return lines[start:stop]


def shift_lines(lines: list[str], columns: int) -> list[str]:
    """Return the lines indented by so many more columns (negative: fewer)."""
    if columns == 0:
        return lines

    def shift(line: str) -> str:
        return " " * max(0, indent_width(line) + columns) + line.lstrip()

    return [shift(line) if line.strip() else line for line in lines]
