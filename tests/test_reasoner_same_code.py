"""Scripts that do the same are known as such, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reasoner.same_code import same_code

SCRIPT = 'def f(x):\n    """Doc."""\n    return x + 1\n\n\nprint(f(1), "# no comment")\n'


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (lambda text: '"""A head."""\n# slow: 1\n' + text + "\n\n# end", True),
        (lambda text: text.replace('"""Doc."""\n', "'''Other.'''\n\n"), True),
        (lambda text: text.replace("x + 1", "(x\n        + 1)"), True),
        (lambda text: text.replace("x + 1", "x + 2"), False),
        (lambda text: text.replace("# no comment", "# a comment"), False),
        (lambda text: text.replace("f(1)", "f(1.0)"), False),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(
    change: Callable[[str], str], is_same: bool
) -> None:
    assert same_code(SCRIPT, change(SCRIPT)) is is_same


@pytest.mark.parametrize(
    "script", ["print(__doc__)", "print(open('solution.py').read())", "x = (", "a\0b", "(" * 999]
)
def test_a_script_that_is_read_or_no_python_counts_letter_for_letter(script: str) -> None:
    assert same_code(script, script)
    assert not same_code(script, f"# c\n{script}")
