"""Scripts are checked by the grammar of the Python that will run them."""

import subprocess
import sys
from pathlib import Path

import pytest

from reasoner.chat.answer.convert import edit_script, unwrap_script
from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.scripts import check_script, rescue_from_text
from reasoner.chat.answer.syntax import ScriptPython, script_python
from reasoner.protocol import Resources

END = '\nopen("oof.csv", "w")\nopen("submission.csv", "w")\n'
NESTED_QUOTES = 'names = {"a": 1}\nprint(f"{names["a"]}")' + END  # Python 3.12
MATCH = "match 1:\n    case 1:\n        pass" + END  # Python 3.10
TYPE_ALIAS = "type Row = list[int]" + END  # Python 3.12
FOLDERS = ("~/.pyenv/versions", "/root/.pyenv/versions", "/opt/hostedtoolcache/Python")


def find_python(minor: int) -> ScriptPython:
    """Find a Python of this version on this machine, else skip the test."""
    places = [Path(f"/usr/bin/python3.{minor}"), Path(f"/usr/local/bin/python3.{minor}")]
    for folder in FOLDERS:
        places += Path(folder).expanduser().glob(f"3.{minor}.*/**/bin/python3.{minor}")
    question = "import sys; print(*sys.version_info[:2])"
    for place in filter(Path.is_file, places):
        done = subprocess.run([place, "-c", question], capture_output=True, text=True, check=False)
        if done.stdout.split() == ["3", str(minor)]:
            return ScriptPython((3, minor), str(place))
    pytest.skip(f"no Python 3.{minor} on this machine")


NEWER = sys.version_info[1] + 1


def test_what_only_a_newer_python_takes_is_not_refused() -> None:
    python = find_python(13)
    for text in (NESTED_QUOTES, TYPE_ALIAS, MATCH):
        assert check_script(text, python) is None
    answer = f"```python\nprint('an example')\n```\nThe script:\n```python\n{NESTED_QUOTES}```\n"
    assert rescue_from_text(answer, None, python) == {"script": NESTED_QUOTES}
    docstring = f'"""Told in a fence:\n```\nx = 1\n```\n"""\n{NESTED_QUOTES}'
    assert unwrap_script(docstring, python) == docstring


def test_what_an_older_python_does_not_take_is_refused_with_its_version() -> None:
    python = find_python(9)
    problem = check_script(MATCH, python)
    assert problem and "by Python 3.9: invalid syntax (line 1)" in problem
    with pytest.raises(AnswerError, match=r"by Python 3\.9"):
        edit_script("x = 1", [], MATCH, python)


def test_of_a_python_on_another_machine_the_known_grammar_decides() -> None:
    elsewhere = ScriptPython((3, 9))
    problem = check_script(MATCH, elsewhere)
    assert problem and "by Python 3.9: Pattern matching" in problem
    assert check_script("x = 1" + END, elsewhere) is None
    assert check_script("def broken(:" + END, ScriptPython((3, NEWER))) is None  # the run will tell
    assert check_script("def broken(:" + END)


def test_a_broken_script_is_refused_by_every_python() -> None:
    python = find_python(13)
    problem = check_script("x = 1\ndef broken(:" + END, python)
    assert problem and "by Python 3.13" in problem and "(line 2)" in problem
    assert check_script("(" * 100_000 + END, python)


def test_the_python_is_the_one_of_the_briefs_resources() -> None:
    plain = Resources(wall_s=1, memory_bytes=1, cpus=1)
    assert script_python(plain).is_own
    named = plain.model_copy(update={"python": "3.13.0", "interpreter": "/p"})
    assert script_python(named) == ScriptPython((3, 13), "/p")
    assert script_python(plain.model_copy(update={"python": "PyPy"})).is_own


def test_half_an_emoji_is_no_script() -> None:
    for python in (ScriptPython(), ScriptPython((3, NEWER)), ScriptPython((3, 9))):
        problem = check_script('x = "\ud800"' + END, python)
        assert problem and "surrogates not allowed" in problem
