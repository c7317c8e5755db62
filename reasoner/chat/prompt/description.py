"""The owner's description of a task, without the parts that no script can use."""

from __future__ import annotations

import re

HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
UNDERLINE = re.compile(r"^\s{0,3}(={3,}|-{3,})\s*$")
LEFT_OUT = re.compile(
    r"^(?:the )?(?:competition )?(?:timelines?|prizes?|awards?|prizes? (?:and|&) .*|citations?"
    r"|acknowledge?ments?|sponsors?|hosts?|about the (?:host|sponsor|organi[sz]ers?)"
    r"|important dates|deadlines?)\W*$",
    re.IGNORECASE,
)
FENCE = re.compile(r"^\s{0,3}(?:`{3,}|~{3,})")


def keep_useful_sections(text: str) -> str:
    """Return the text without sections on prizes, dates, sponsors and citations, and name those.

    A section ends at the next heading of its level or above. Anything else stays word for word.
    """
    kept: list[str] = []
    left_out: list[str] = []
    hidden = 0  # level of the heading that is being left out; 0: none
    in_fence = False
    lines = text.splitlines()
    for number, line in enumerate(lines):
        in_fence ^= bool(FENCE.match(line))
        title = None if in_fence else _heading_at(lines, number)
        if title is not None and (not hidden or title[0] <= hidden):
            hidden = title[0] if LEFT_OUT.match(title[1]) else 0
            left_out += [title[1]] if hidden else []
        if not hidden:
            kept.append(line)
    if not left_out:
        return text
    names = ", ".join(dict.fromkeys(left_out))
    return "\n".join(kept).rstrip() + f"\n\n[left out: {names}]\n"


def _heading_at(lines: list[str], number: int) -> tuple[int, str] | None:
    """Level and title of the heading in this line, `# Title` or underlined."""
    if match := HEADING.match(lines[number]):
        return len(match.group(1)), match.group(2).strip(" *_")
    following = lines[number + 1] if number + 1 < len(lines) else ""
    if lines[number].strip() and (match := UNDERLINE.match(following)):
        return 1 if match.group(1).startswith("=") else 2, lines[number].strip(" *_")
    return None
