"""Scripts in a model's answer: found in fences, in bare text or in JSON, and checked before anything runs."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

from reasoner.chat.answer.edits import MAX_SCRIPT_CHARS, Edit, elided

FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^`]*")
BLOCK = (
    re.compile(r"\s*<{5,}\s*SEARCH\b"),
    re.compile(r"\s*={5,}\s*"),
    re.compile(r"\s*>{5,}\s*REPLACE\b"),
)
THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
START = re.compile(r'^(?:#!|# -\*-|"""|\'\'\'|import \w|from [\w.]+ import )', re.MULTILINE)
PYTHON = ("python", "py", "python3")
MAX_TEXT = 2_000_000
MAX_TRIES = 40  # lines of prose that may follow a script without a fence


def check_script(text: str) -> str | None:
    """What is wrong with a script before it runs, for the model; None: nothing seen."""
    if not text.strip():
        return "The script is empty."
    if len(text) > MAX_SCRIPT_CHARS:
        return f"The script has {len(text):,} characters; at most {MAX_SCRIPT_CHARS:,}. Read data from input/ rather than writing it into the script."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "solution.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return syntax(error, text)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"The script cannot be compiled ({type(error).__name__}: {str(error)[:200]})."
    if elided(text):
        return "A line says that code was left out. Give every line of the script."
    missing = [name for name in ("oof", "submission") if name not in text]
    return (
        f"The script never writes {' and '.join(f'{name}.csv' for name in missing)}; both files are required."
        if missing
        else None
    )


def syntax(error: SyntaxError, text: str) -> str:
    lines, number = text.splitlines(), error.lineno or 1
    shown = "\n".join(lines[max(0, number - 3) : number + 1])[:800]
    return f"The script does not compile: {error.msg} (line {number}).\n```\n{shown}\n```"


def thoughtless(text: str) -> str:
    """The answer without what the model thought aloud before it."""
    return THOUGHT_END.split(text[:MAX_TEXT])[-1].strip()


def extract_code(text: str) -> str | None:
    """The script in an answer: the best fence, else bare text that compiles, else a JSON string. None: there is none."""
    text = thoughtless(text)
    if (found := in_json(text)) is not None:
        return found
    found_fences = fences(text)
    python = [body for language, body in found_fences if language in PYTHON] or [
        body for language, body in found_fences if not language
    ]
    whole = [body for body in python if compiles(body)]
    if best := max(whole or python, key=len, default=None):
        return best.strip("\n") + "\n"
    return bare(text)


def fences(text: str) -> list[tuple[str, str]]:
    """(language, body) of every fence; one that never closes reaches to the end."""
    found: list[tuple[str, str]] = []
    mark, language, body = "", "", list[str]()
    for line in text.splitlines():
        if mark and line.strip().startswith(mark) and not line.strip().strip(mark[0]):
            found.append((language, "\n".join(body)))
            mark = ""
        elif mark:
            body.append(line)
        elif match := FENCE.fullmatch(line):
            mark, language, body = match.group(1), match.group(2).lower(), []
    return [*found, (language, "\n".join(body))] if mark and body else found


def bare(text: str) -> str | None:
    """A script without a fence, whatever prose stands around it."""
    match = START.search(text)
    if match is None:
        return None
    lines = text[match.start() :].rstrip().splitlines()
    for cut in range(min(MAX_TRIES, len(lines))):
        candidate = "\n".join(lines[: len(lines) - cut]) + "\n"
        if compiles(candidate):
            return candidate
    return None


def in_json(text: str) -> str | None:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    found = next(
        (
            given[key]
            for key in ("script", "code", "solution", "python")
            if isinstance(given.get(key), str)
        ),
        None,
    )
    return found if found and found.strip() else None


def extract_edits(text: str) -> list[Edit]:
    """The SEARCH/REPLACE blocks of an answer, in order; one that is not whole is left out."""
    found: list[Edit] = []
    part, kept = 0, (list[str](), list[str]())
    for line in thoughtless(text).splitlines():
        if BLOCK[0].match(line):
            part, kept = 1, ([], [])
        elif part == 1 and BLOCK[1].fullmatch(line):
            part = 2
        elif part == 2 and BLOCK[2].match(line):
            found.append(Edit("\n".join(kept[0]), "\n".join(kept[1])))
            part = 0
        elif part:
            kept[part - 1].append(line)
    return found


def from_text(text: str, given: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """An answer whose code stands beside its JSON, or without any: SEARCH/REPLACE blocks, or a script. None: nothing at all."""
    if given is not None and any(
        given.get(key) for key in ("script", "code", "edits", "take_from", "ensemble")
    ):
        return given
    if edits := extract_edits(text):
        return {**(given or {}), "edits": [edit._asdict() for edit in edits]}
    script = extract_code(text)
    return {**(given or {}), "script": script} if script else given


def compiles(text: str) -> bool:
    if not text.strip() or len(text) > MAX_SCRIPT_CHARS:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True
