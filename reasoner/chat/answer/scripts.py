"""Scripts in a model's answer: found in fences, bare text or JSON, and checked before a run."""

from __future__ import annotations

import json
import re
from typing import Any

from reasoner.chat.answer.edits import MAX_SCRIPT_CHARS, Edit, has_elision
from reasoner.chat.answer.syntax import OWN, Fault, ScriptPython, find_fault

FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^`]*")
SEARCH_MARK = re.compile(r"\s*<{5,}\s*SEARCH\b")
DIVIDER_MARK = re.compile(r"\s*={5,}\s*")
REPLACE_MARK = re.compile(r"\s*>{5,}\s*REPLACE\b")
THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
SCRIPT_START = re.compile(r'^(?:#!|# -\*-|"""|\'\'\'|import \w|from [\w.]+ import )', re.MULTILINE)
PYTHON_LABELS = ("python", "py", "python3")
OUTPUTS = ("oof", "submission")  # the files that a script must write, without .csv
FILE_WORDS = {
    "read.py": ("labels.csv", "rows.csv"),
    "metric.py": ("def score(answers, submission", "direction", "optimum"),
}
MAX_TEXT_CHARS = 2_000_000
MAX_FENCES, MAX_FENCE_TRIES = 40, 60
MAX_TRAILING_LINES = 40  # of prose after a script without a fence


def check_script(text: str, python: ScriptPython = OWN) -> str | None:
    """Return what is wrong with a script before it runs, for the model; None if nothing is."""
    if problem := check_code(text, python):
        return problem
    missing = [f"{name}.csv" for name in OUTPUTS if name not in text]
    if not missing:
        return None
    return f"The script never writes {' and '.join(missing)}; both files are required."


def check_file(text: str, name: str) -> str | None:
    """Return what is wrong with read.py or metric.py before it runs; None if nothing is."""
    if problem := check_code(text):
        return problem
    wanted = FILE_WORDS[name]
    missing = [word for word in wanted if word not in text]
    return f"{name} should have {' and '.join(missing)}." if missing else None


def check_code(text: str, python: ScriptPython = OWN) -> str | None:
    """Return why a text is no whole file of this Python, for the model; None if it is one."""
    if not text.strip():
        return "The script is empty."
    if len(text) > MAX_SCRIPT_CHARS:
        return (
            f"The script has {len(text):,} characters; at most {MAX_SCRIPT_CHARS:,}."
            " Read data from input/ rather than writing it into the script."
        )
    if fault := find_fault(text, python):
        return describe_fault(fault, text, python)
    if has_elision(text):
        return "A line says that code was left out. Give every line of the script."
    return None


def is_compilable(text: str, python: ScriptPython = OWN) -> bool:
    """Whether the text is a Python file of bounded length."""
    is_bounded = bool(text.strip()) and len(text) <= MAX_SCRIPT_CHARS
    return is_bounded and find_fault(text, python) is None


def describe_fault(fault: Fault, text: str, python: ScriptPython = OWN) -> str:
    """Return what is wrong, with the lines around it."""
    by = "" if python.is_own else f" by Python {'.'.join(map(str, python.minor))}"
    if fault.line is None:
        return f"The script cannot be compiled{by} ({fault.message})."
    lines = text.splitlines()
    excerpt = "\n".join(lines[max(0, fault.line - 3) : fault.line + 1])[:800]
    said = f"The script does not compile{by}: {fault.message} (line {fault.line})."
    return f"{said}\n```\n{excerpt}\n```"


def text_after_thinking(text: str) -> str:
    """Return the answer without the model's thinking before it."""
    return THOUGHT_END.split(text[:MAX_TEXT_CHARS])[-1].strip()


def extract_code(text: str, python: ScriptPython = OWN) -> str | None:
    """Return the script of an answer, or None.

    Tried in turn: a JSON string, the longest fence that compiles, the longest fence, bare text.
    """
    text = text_after_thinking(text)
    if (script := script_in_json(text)) is not None:
        return script
    blocks = fenced_blocks(text)
    labelled = [body for language, body in blocks if language in PYTHON_LABELS]
    bodies = labelled or [body for language, body in blocks if not language]
    compilable = [body for body in bodies if is_compilable(body, python)]
    best = max(compilable, key=len, default="")
    if len(best) < max(map(len, bodies), default=0):  # the longest may hold fences itself
        best = max(best, fence_around_fences(text), key=len)
    if best := best or max(bodies, key=len, default=""):
        return best.strip("\n") + "\n"
    return unfenced_script(text, python)


def fence_around_fences(text: str) -> str:
    """Return the longest script between two fences with other fences in it; empty without one."""
    lines = split_lines(text)
    marks = [index for index, line in enumerate(lines) if FENCE.fullmatch(line)][:MAX_FENCES]
    pairs = [(start, end) for start in marks for end in reversed(marks) if end > start]
    pairs.sort(key=lambda pair: pair[0] - pair[1])
    bodies = ("\n".join(lines[start + 1 : end]) for start, end in pairs[:MAX_FENCE_TRIES])
    return next((body for body in bodies if is_compilable(body)), "")


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text; other separators than \n and \r belong to a script's texts."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """Return (language, body) of every fence; an unclosed one extends to the end."""
    blocks: list[tuple[str, str]] = []
    mark, language, body = "", "", list[str]()
    for line in split_lines(text):
        if mark and line.strip().startswith(mark) and not line.strip().strip(mark[0]):
            blocks.append((language, "\n".join(body)))
            mark = ""
        elif mark:
            body.append(line)
        elif match := FENCE.fullmatch(line):
            mark, language, body = match.group(1), match.group(2).lower(), []
    return [*blocks, (language, "\n".join(body))] if mark and body else blocks


def unfenced_script(text: str, python: ScriptPython = OWN) -> str | None:
    """Return a script without a fence: from the first line of code, less prose at the end."""
    match = SCRIPT_START.search(text)
    if match is None:
        return None
    lines = split_lines(text[match.start() :].rstrip())
    for n_trailing in range(min(MAX_TRAILING_LINES, len(lines))):
        candidate = "\n".join(lines[: len(lines) - n_trailing]) + "\n"
        if is_compilable(candidate, python):
            return candidate
    return None


def script_in_json(text: str) -> str | None:
    """Return the script if the whole text is a JSON object that contains one."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    values = (given.get(key) for key in ("script", "code", "solution", "python"))
    script = next((value for value in values if isinstance(value, str)), None)
    return script if script and script.strip() else None


def extract_edits(text: str) -> list[Edit]:
    """Return the complete SEARCH/REPLACE blocks of an answer, in order."""
    edits: list[Edit] = []
    search, replace = list[str](), list[str]()
    current: list[str] | None = None  # the part that the next line belongs to
    for line in split_lines(text_after_thinking(text)):
        if SEARCH_MARK.match(line):
            search, replace = [], []
            current = search
        elif current is search and DIVIDER_MARK.fullmatch(line):
            current = replace
        elif current is replace and REPLACE_MARK.match(line):
            edits.append(Edit("\n".join(search), "\n".join(replace)))
            current = None
        elif current is not None:
            current.append(line)
    return edits


def rescue_from_text(
    text: str, given: dict[str, Any] | None = None, python: ScriptPython = OWN
) -> dict[str, Any] | None:
    """Complete an answer whose code is outside its JSON, or that has no JSON.

    The code is SEARCH/REPLACE blocks or a script. None if there is neither JSON nor code.
    """
    keys = ("script", "code", "edits", "take_from", "ensemble", "remeasure")
    if given is not None and any(given.get(key) for key in keys):
        return given
    if edits := extract_edits(text):
        return {**(given or {}), "edits": [edit._asdict() for edit in edits]}
    script = extract_code(text, python)
    return {**(given or {}), "script": script} if script else given
