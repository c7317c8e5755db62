"""A trace recalls at once what another measured, with the change and its conditions."""

from __future__ import annotations

from pathlib import Path

from kit import HONEST, Player, events, quick, write_task

from memory.manage import select_records
from reasoner.protocol import Solution, UpdateBrief
from session.session import start_run


class Listener(Player):
    """Keeps the briefs of its updates."""

    def __init__(self, scripts: list[str]) -> None:
        super().__init__(scripts)
        self.briefs: list[UpdateBrief] = []

    async def update(self, brief: UpdateBrief) -> Solution:
        self.briefs.append(brief)
        return await super().update(brief)


async def test_a_trace_recalls_results_of_another_trace_before_their_first_merge(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task")
    memory = str(tmp_path / "memory")
    player = Listener([HONEST.format(noise=noise) for noise in (3, 1, 0.5, 0.3, 0.2)])
    outcome = await start_run(
        str(task),
        quick(
            tmp_path,
            traces=2,
            steps=5,
            merge_every=5,
            memory=memory,
            time_s=600,
            deal="turns",
        ),
        reasoner=player,
    )
    assert len(events(outcome.folder, "merged")) == 1
    seen = {
        (event["trace"], hint["where"].split(", ")[1])
        for event in events(outcome.folder, "recalled")
        for hint in event["hints"]
    }
    assert (0, "trace 1") in seen or (1, "trace 0") in seen
    record = select_records(memory)[0]
    assert (
        "training rows" in record.context and "\n+" in record.diff and "random.gauss" in record.diff
    )
    last = player.briefs[-1]
    assert any("measured hypotheses" in line for line in last.calibration)


async def test_nothing_is_shared_with_sharing_and_memory_off(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Listener([HONEST.format(noise=noise) for noise in (3, 1, 0.5)])
    await start_run(
        str(task), quick(tmp_path, traces=2, sharing=False, time_s=600), reasoner=player
    )
    assert player.briefs and all(
        not (brief.others or brief.hints)
        and {name[:2] for claim in brief.ledger.claims for name in claim.attempts}
        <= {f"t{brief.stage.trace}"}
        and not any(claim.trying for claim in brief.ledger.claims)
        for brief in player.briefs
    )
