"""Edits from models: applied where one place alone can be meant, else refused with the lines."""

from __future__ import annotations

import json
import re
import time

import pytest

from reasoner.chat.answer.edits import Edit, EditError, apply_edits
from reasoner.chat.answer.scripts import check_script, extract_code, extract_edits, rescue_from_text

SCRIPT = """import pandas as pd

def load(path):
    frame = pd.read_csv(path)
    frame["age"] = frame["age"].fillna(0)
    return frame


def fit(x, y):
    model = Model(depth=3, rate=0.1)
    for k in range(5):
        model.fit(x[k], y[k])
    return model

frame = load("input/train.csv")
"""


def edited(search: str, replace: str, script: str = SCRIPT) -> str:
    return apply_edits(script, [Edit(search, replace)])


def test_exact_text_is_replaced_and_nothing_else() -> None:
    new = edited("depth=3", "depth=4")
    assert new == SCRIPT.replace("depth=3", "depth=4")


@pytest.mark.parametrize(
    "search",
    [
        '    frame["age"] = frame["age"].fillna(0)   \n    return frame\t',  # trailing blanks
        '\n\n    frame["age"] = frame["age"].fillna(0)\n\n    return frame\n\n',  # more blank lines
        'frame["age"] = frame["age"].fillna(0)\nreturn frame',  # indentation lost
        '        frame["age"] = frame["age"].fillna(0)\n        return frame',  # indented further
        '    frame["age"] = frame["age"].fillna(0)\r\n    return frame\r\n',  # Windows line ends
        '    frame["age"]  =  frame["age"].fillna(0)\n    return   frame',  # blanks inside
        '\ufeff    frame["age"] = frame["age"].fillna(0)\n    return frame',  # a byte order mark
        '    frame["age"]\u00a0= frame["age"].fillna(0)\n    return frame',  # a no-break space
        '    frame["age"] = frame["age"].fillna(0.)\n    return frame',  # one letter off
    ],
)
def test_common_mistakes_of_models_are_tolerated(search: str) -> None:
    new = edited(search, search.replace("fillna(0", "fillna(-1"))
    compile(new, "s", "exec")
    changed = [" ".join(line.split()) for line in new.split("\n")]
    assert [line.replace("-1.", "-1") for line in changed if line] == [
        " ".join(line.split())
        for line in SCRIPT.replace("fillna(0", "fillna(-1").split("\n")
        if line
    ]


def test_a_replacement_takes_the_indentation_of_its_place() -> None:
    new = edited(
        "for k in range(5):\n    model.fit(x[k], y[k])",
        "for k in range(9):\n    if k:\n        model.fit(x[k], y[k])",
    )
    assert (
        "    for k in range(9):\n        if k:\n            model.fit(x[k], y[k])\n    return model"
        in new
    )
    compile(new, "s", "exec")


def test_a_script_with_windows_line_ends_can_be_edited() -> None:
    new = edited("    return frame", "    return frame.copy()", SCRIPT.replace("\n", "\r\n"))
    assert "return frame.copy()" in new and "\r" not in new


def test_edits_apply_in_order_and_may_build_on_each_other() -> None:
    new = apply_edits(
        SCRIPT, [Edit("depth=3", "depth=4"), Edit("depth=4, rate=0.1", "depth=4, rate=0.05")]
    )
    assert "Model(depth=4, rate=0.05)" in new


def test_lines_can_be_deleted() -> None:
    assert "fillna" not in edited('    frame["age"] = frame["age"].fillna(0)\n', "")


def test_two_places_are_refused_with_their_lines() -> None:
    with pytest.raises(EditError, match=r"fits 2 places \(lines 1, 3\)"):
        edited("x = 1", "x = 2", "x = 1\ny = 2\nx = 1\n")


def test_two_places_that_fit_loosely_are_refused_too() -> None:
    with pytest.raises(EditError, match="fits 2 places"):
        edited("  x = f(1)", "x = f(2)", "if a:\n    x = f(1)\nelse:\n    x = f(1)\n")


def test_two_places_that_are_nearly_alike_are_refused() -> None:
    script = (
        "total_alpha_score = compute(alpha, 11)\nprint(1)\ntotal_alpha_score = compute(alpha, 12)\n"
    )
    with pytest.raises(EditError):
        edited("total_alpha_score = compute(alpha, 13)", "x = 1", script)


def test_a_miss_shows_the_nearest_lines_of_the_script() -> None:
    with pytest.raises(EditError) as caught:
        edited(
            "    model = Model(depth=3, rate=0.1, leaves=31, seed=0, verbose=False)\n"
            "    model.check()",
            "pass",
        )
    assert "does not occur" in str(
        caught.value
    ) and "    model = Model(depth=3, rate=0.1)\n" in str(caught.value)
    assert "Copy them exactly" in str(caught.value)


def test_a_miss_that_resembles_nothing_is_reported() -> None:
    with pytest.raises(EditError, match="Nothing in the script resembles it"):
        edited("§§§§ ¶¶¶¶ ÐÐÐÐ", "x")


def test_all_missed_edits_are_reported_at_once_and_none_is_applied() -> None:
    with pytest.raises(EditError) as caught:
        apply_edits(
            SCRIPT,
            [
                Edit("nowhere_at_all()", "x"),
                Edit("depth=3", "depth=4"),
                Edit("not_there_either()", "y"),
            ],
        )
    assert (
        "Edit 1:" in str(caught.value)
        and "Edit 3:" in str(caught.value)
        and "Edit 2:" not in str(caught.value)
    )


@pytest.mark.parametrize(
    ("search", "replace", "word"),
    [
        ("", "x = 1", "empty"),
        ("  \n\t\n", "x = 1", "empty"),
        ("    return frame", "    return frame", "same"),
        ("def load(path):\n    # ... existing code ...\n    return frame", "x", "in full"),
        ("    return frame", "    # ... rest of the function unchanged\n    return 1", "in full"),
        ("def load(path):\n...\n    return frame", "x", "in full"),
    ],
)
def test_senseless_edits_are_refused(search: str, replace: str, word: str) -> None:
    with pytest.raises(EditError, match=word):
        edited(search, replace)


def test_edits_that_change_nothing_are_refused() -> None:
    with pytest.raises(EditError, match="as it was"):
        apply_edits(SCRIPT, [Edit("depth=3", "depth=4"), Edit("depth=4", "depth=3")])


@pytest.mark.parametrize(
    ("script", "search"),
    [
        ("x = 1\n" * 60_000, "y = 2\n" * 3_000),
        ("a" * 390_000, "b" * 390_000),
        ("\n" * 300_000, "\n" * 100 + "z"),
        ("(" * 100_000 + "\n" + ")" * 100_000, "(" * 5_000 + "x"),
        (
            "".join(f"value_{i} = compute(alpha_{i})\n" for i in range(8_000)),
            "".join(f"value_{i} = compute(beta_{i})\n" for i in range(200)),
        ),
    ],
)
def test_giant_and_hostile_edits_are_refused_in_bounded_work_and_words(
    script: str, search: str
) -> None:
    began = time.process_time()
    with pytest.raises(EditError) as caught:
        edited(search, "x = 2", script)
    assert len(str(caught.value)) < 8_000
    assert time.process_time() - began < 20


# code out of an answer

PROGRAM = (
    "import csv\nrows = list(csv.reader(open('input/train.csv')))\n"
    "open('oof.csv', 'w')\nopen('submission.csv', 'w')\n"
)


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is.\n```python\n{PROGRAM}```\nDone.",
        f"```py\n{PROGRAM}\n```",
        f"~~~python\n{PROGRAM}~~~",
        f"````python\n{PROGRAM}````",
        f"```\n{PROGRAM}```",
        PROGRAM,
        f"Sure, this is the script:\n\n{PROGRAM}\nIt reads the rows, and it's careful.",
        f"```python\n{PROGRAM}",  # cut off behind the code
        json.dumps({"script": PROGRAM}),
        "<think>```python\nprint('a first thought, longer than the answer' * 100)\n```</think>\n"
        f"```python\n{PROGRAM}```",
        f"First a sketch:\n```python\nimport csv\n```\nThen all of it:\n```python\n{PROGRAM}```",
        f"```bash\npip install x\n```\n```python\n{PROGRAM}```",
    ],
)
def test_a_script_is_found_however_it_is_wrapped(text: str) -> None:
    found = extract_code(text)
    assert found is not None and found.strip() == PROGRAM.strip()
    assert check_script(found) is None


@pytest.mark.parametrize("text", ["", "I cannot do that.", "```\n```", "{}", "<think>import csv"])
def test_no_script_is_found_where_there_is_none(text: str) -> None:
    assert not extract_code(text) or check_script(extract_code(text) or "")


def test_blocks_of_search_and_replace_are_found() -> None:
    text = (
        "Change:\n<<<<<<< SEARCH\na = 1\n=======\na = 2\nb = 3\n>>>>>>> REPLACE\nand\n"
        "<<<<<<< SEARCH\nc\n=======\n>>>>>>> REPLACE\n<<<<<<< SEARCH\ncut"
    )
    assert extract_edits(text) == [Edit("a = 1", "a = 2\nb = 3"), Edit("c", "")]
    assert rescue_from_text(text) == {
        "edits": [{"search": "a = 1", "replace": "a = 2\nb = 3"}, {"search": "c", "replace": ""}]
    }


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("", "empty"),
        (PROGRAM + "if True\n    pass\n", r"line 5"),
        (PROGRAM + "return 3\n", "outside function"),
        (PROGRAM + "\x00", "null|compile"),
        (PROGRAM + "x = " + "(" * 5_000 + ")" * 5_000, "compile"),
        (PROGRAM + "x = " + "-" * 200_000 + "1", "compile"),
        ("x = 1\n" * 100_000, "characters"),
        (PROGRAM + "# ... rest of the code unchanged\n", "left out"),
        ("print('hello')\n", "oof.csv and submission.csv"),
        (PROGRAM.replace("oof", "foo"), "oof.csv"),
    ],
)
def test_an_unusable_script_is_refused_with_the_reason(script: str, word: str) -> None:
    assert (problem := check_script(script)) is not None
    assert re.search(word, problem), problem


def test_a_script_that_warns_when_compiled_is_accepted() -> None:
    assert check_script(PROGRAM + 'import re\nre.compile("\\d")\nassert (1, 2)\n') is None


@pytest.mark.parametrize(
    "comment",
    [
        "# Remaining categories: merge them ... into one",
        "# same as above, for test",
        "# the rest of the columns are numeric",
        "...",
    ],
)
def test_a_comment_about_the_rest_is_accepted(comment: str) -> None:
    assert check_script(f"{PROGRAM}def later():\n    {comment}\n    return 1\n") is None


def test_code_beside_a_json_header_completes_it() -> None:
    text = f'```json\n{{"summary": "s"}}\n```\n```python\n{PROGRAM}```'
    assert rescue_from_text(text, {"summary": "s"}) == {"summary": "s", "script": PROGRAM}
    assert rescue_from_text(text, {"take_from": ["t0s1"]}) == {"take_from": ["t0s1"]}
    assert rescue_from_text("nothing", None) is None


def test_hostile_answers_are_searched_in_bounded_time() -> None:
    began = time.process_time()
    for text in (
        "<think>" * 200_000,
        "```\n" * 200_000,
        "<<<<<<< SEARCH\n" * 100_000,
        "import x\n(" * 50_000,
        "{" * 1_000_000,
        "`" * 1_000_000,
    ):
        extract_code(text)
        extract_edits(text)
    assert time.process_time() - began < 60
