"""Whether two scripts do the same: comments, blank lines and docstrings aside."""

from __future__ import annotations

import ast
import hashlib
import re
import warnings

READS_ITSELF = re.compile(r"__doc__|__file__|solution\.py|\binspect\b|\bargv\b|\btokenize\b")
"""In a script that may read its own text, every letter counts."""
MAX_CHARS = 200_000  # of a script that is parsed
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def same_code(one: str, other: str) -> bool:
    """Whether the scripts differ in comments, blank lines, layout and docstrings at most."""
    return one == other or code_key(one) == code_key(other)


def code_key(script: str) -> str:
    """Return a hash of what a script does; of its text where that is no Python, or is read."""
    text = script
    if len(script) <= MAX_CHARS and not READS_ITSELF.search(script):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes in strings
                text = _dump_code(script)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            text = script
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _dump_code(script: str) -> str:
    tree = ast.parse(script)
    for node in ast.walk(tree):
        if isinstance(node, WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
