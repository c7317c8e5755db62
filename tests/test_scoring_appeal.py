"""An appeal in a run: asked for once, judged by the harness, told in events, reasons and report."""

from __future__ import annotations

import html
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kit import Player, events, quick
from openai_server import Server, say
from test_reasoner_chat_answers import REPAIR, SCRIPT
from test_reasoner_chat_verbs import chat
from trust_kit import binary_frames, write_frames

from reasoner.chat.prompt.render import prompt_messages
from reasoner.protocol import Lack, RepairBrief, Solution
from report.html import write_report
from scoring.label_check import can_audit_tell
from session.session import start_run
from task.types import Appeal, Grade, Score

LACKS = [Lack(name="cell:x", validated=0, of_validated=2090, test=44, of_test=310)]
GATED = REPAIR.model_copy(update={"lacks": LACKS, "problems": ["held-back rows"]})
APPEAL = {"cause": "44 rows of test.csv lost x", "appeal": ["`Cell:X`", "label"]}

SCRIPT_OF_RUN = '''"""Rows without x are predicted blind; a leak of {leak} of the label in oof."""
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
fold = pd.read_csv("input/folds.csv").set_index("id")["fold"]
def write(name, rows, score):
    score = score.fillna(pd.Series(rng.normal(size=len(rows)), rows.index))
    pd.DataFrame({{"id": rows["id"], "label": 1 / (1 + np.exp(-score))}}).to_csv(name, index=False)
rows = train[train["id"].map(fold) >= 0]
write("oof.csv", rows, rows["x"] - rows["y"] + {leak} * (rows["label"] - 0.5))
write("submission.csv", test, test["x"] - test["y"])
'''


class Appellant(Player):
    """Plays one script whose held-back rows lost a cell, and appeals against each refusal."""

    reads_refusals = True

    def __init__(self, runs: Path, leak: float) -> None:
        super().__init__([SCRIPT_OF_RUN.format(leak=leak)])
        self.runs = runs
        self.asked: list[RepairBrief] = []

    async def draft(self, brief: Any) -> Solution:
        for public in self.runs.glob("*/public"):
            test = pd.read_csv(public / "test.csv")
            labels = pd.read_parquet(public.with_name("private") / "labels.parquet")
            held = labels["_id"][labels["_fold"] == -2]
            test.loc[test["id"].isin(held.head(int(0.4 * len(held)))), "x"] = np.nan
            test.to_csv(public / "test.csv", index=False)
        return await super().draft(brief)

    async def repair(self, brief: RepairBrief) -> Solution:
        self.asked.append(brief)
        if not brief.lacks:
            return await super().repair(brief)
        names = [lack.name for lack in brief.lacks]
        return Solution(script=brief.script, summary="s", cause="they lost x", appeal=names)


@pytest.mark.slow
@pytest.mark.parametrize(("leak", "upheld"), [(0.0, True), (4.0, False)])
async def test_an_appeal_is_upheld_for_an_honest_script_and_not_for_a_leak(
    tmp_path: Path, leak: float, upheld: bool
) -> None:
    train, test = binary_frames(2600, 100)
    task = write_frames(tmp_path / "task", train, test, metric="auc")
    settings = quick(tmp_path, steps=1, check_labels=False)
    player = Appellant(Path(str(settings.runs_dir)), leak)
    folder = (await start_run(str(task), settings, reasoner=player)).folder
    first, *later = player.asked
    assert [lack.name for lack in first.lacks] == ["cell:x"] and first.log is not None
    assert "held-back rows" in first.problems[0] and "np.random" in first.script
    (appeal,) = events(folder, "appealed")
    assert appeal["upheld"] == upheld
    executed = [one for one in events(folder, "execution_finished") if one.get("attempt")]
    assert len(executed) == (1 if upheld else 2), "an appeal executes nothing"
    (attempt,) = events(folder, "attempt")
    if upheld:
        assert not later and attempt["verdict"] == "accepted"
        assert attempt["codes"] == ["first_valid", "appeal_upheld"]
        assert appeal["message"] in html.unescape(write_report(folder).read_text())
    else:
        assert attempt["verdict"] != "accepted" and not later[0].lacks
        assert "finds the same" in later[0].problems[1]


async def test_a_model_appeals_with_listed_words_only_and_is_told_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = prompt_messages("appeal", GATED)[1]["content"]
    assert "- `cell:x`: 0 of 2,090 validated rows, 44 of 310 rows of `test.csv`" in text
    assert "half of them must remain" in text
    assert "appeal" not in prompt_messages("repair", REPAIR)[1]["content"]
    wrong = APPEAL | {"appeal": ["the label is 1"]}
    with Server(lambda body, n: say(APPEAL if n else wrong)) as server:
        reasoner = chat(server)
        solution = await reasoner.repair(GATED)
        await reasoner.close()
    told = server.requests[1]["messages"][-1]["content"]
    assert "may name only what is listed: cell:x" in told
    assert (solution.script, solution.appeal) == (SCRIPT, ["cell:x"])
    assert solution.cause == "44 rows of test.csv lost x"


def test_the_check_on_shuffled_labels_judges_besides_after_an_appeal() -> None:
    run: Any = SimpleNamespace(
        prepared=SimpleNamespace(task=SimpleNamespace(split=SimpleNamespace(kind="random"))),
        settings=SimpleNamespace(audit_bits=8),
        read_done=lambda *_: [],
    )
    grade = Grade(ok=True, audit=Score(value=0.9, se=0.01, n=400))
    appealed = grade.model_copy(update={"appeal": Appeal(lacks=["file"], left=300, of=400)})
    assert can_audit_tell(run, grade) and not can_audit_tell(run, appealed)
