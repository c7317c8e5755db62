"""What the ledger of a run holds at its end reaches the memory, and a later run recalls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import HONEST, Player, events, quick, write_task

from graph.settings import Settings
from reasoner.protocol import DiagnoseBrief, Diagnosis
from scoring.lessons import CLAIM_CHALLENGES
from session.session import start_run


class Asking(Player):
    """A player whose diagnosis finds the challenge that drafts answer."""

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        found = await super().diagnose(brief)
        named = {"challenge": CLAIM_CHALLENGES["draft"]}
        ideas = [item.model_copy(update=named) for item in found.hypotheses]
        return found.model_copy(update={"hypotheses": ideas})


@pytest.mark.slow
async def test_a_claim_of_the_ledger_is_recalled_by_a_later_run(tmp_path: Path) -> None:
    memory = {"memory": str(tmp_path / "memory"), "steps": 2}
    settings: Settings = quick(tmp_path, policy="random", **memory)
    scripts = [HONEST.format(noise=noise) for noise in (3, 0.1)]
    first = await start_run(str(write_task(tmp_path / "one")), settings, reasoner=Player(scripts))
    (_, better) = events(first.folder, "attempt")
    assert better["verdict"] == "accepted" and better["gain"] > 0
    again = quick(tmp_path, **memory)
    other = write_task(tmp_path / "two", n=150)
    second = await start_run(str(other), again, reasoner=Asking(scripts))
    hints = [hint for event in events(second.folder, "recalled") for hint in event["hints"]]
    (hint,) = [hint for hint in hints if hint["hypothesis"] == better["summary"]]
    assert (hint["kind"], hint["component"]) == ("accepted", "model")
    assert (hint["gain"], hint["gain_se"]) == (better["gain"], better["gain_se"])
    assert first.folder.name in hint["where"] and hint["weight"] > 0
