"""Ensembles: recorded attempts' predictions blended by the harness in a moment, without retraining; an attempt of its own kind.

The pool holds the attempts of all traces whose predictions may be blended. It is an artifact, named in the state, so that a resumed or
forked run sees exactly the attempts of its time.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from graph.state import Best, Work, new_trace
from reasoner.protocol import Usage
from run.run import Json, Run
from scoring.evaluation import Entry, judged
from scoring.records import account, announce, best_of_record
from task.types import TaskError

N_POOL = 60  # attempts that are remembered for a blend, the best by score
N_SHOWN = 12  # of them told to a reasoner
ACCOUNT: Json = {
    "cpu_s": None,
    "peak_bytes": None,
    "tier": "harness",
}  # what an execution has besides


def pooled(run: Run, pool: str | None, fresh: list[list[Json]]) -> str:
    """The pool with each trace's fresh attempts; what a trace had before it removed a flaw of the data is no longer honest and leaves."""
    entries = entries_of(run, pool)
    for attempts in fresh:
        for attempt in attempts:
            if attempt["validity"]:
                entries = [entry for entry in entries if entry["trace"] != attempt["trace"]]
            if blendable(attempt):
                names = ("id", "ref", "trace", "score", "verdict", "kind")
                entries.append(
                    {name: attempt[name] for name in names} | {"kept": attempt["replaces"]}
                )
    sign = 1 if run.prepared.task.direction == "max" else -1
    unique = {entry["id"]: entry for entry in entries}.values()
    return run.artifacts.put_json(
        sorted(unique, key=lambda entry: (-sign * entry["score"], entry["id"]))[:N_POOL]
    )


def blendable(attempt: Json) -> bool:
    valid = attempt["verdict"] in ("accepted", "tie", "rejected") and not attempt["problems"]
    return bool(valid and attempt["score"] is not None and attempt["oof"] and attempt["submission"])


def entries_of(run: Run, pool: str | None) -> list[Json]:
    return list(run.artifacts.get_json(pool)) if pool else []


def kept_ids(run: Run, pool: str | None) -> list[str]:
    return sorted(entry["id"] for entry in entries_of(run, pool) if entry["kept"])


def members_of(run: Run, pool: str | None, ids: list[str] | None = None) -> list[Json]:
    """Records from the pool: those of `ids`, or every solution that was accepted into a trace's path."""
    entries = [entry for entry in entries_of(run, pool) if entry["kind"] != "ensemble"]
    found = [entry for entry in entries if (entry["kept"] if ids is None else entry["id"] in ids)]
    return [run.attempt(entry["ref"]) | {"ref": entry["ref"]} for entry in found]


async def blend(run: Run, name: str, members: list[Json]) -> Json:
    """The ensemble's execution: its files and log as artifacts, its weights, its driver script. Repeats nothing after a kill."""

    async def go() -> Json:
        folder = run.folder / "work" / f"{name}-blend"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return await made(run, str(folder), members)
        except TaskError as error:
            return {
                "end": "exit",
                "exit_code": 1,
                "wall_s": 0.0,
                "files": {},
                "log": run.artifacts.put(f"TaskError: {error}"),
                "script": None,
            }
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    return await run.once("blend", [name, *(member["ref"] for member in members)], go)


async def made(run: Run, folder: str, members: list[Json]) -> Json:
    paths = {
        member["id"]: {
            "oof": str(run.artifacts.path(member["oof"])),
            "submission": str(run.artifacts.path(member["submission"])),
        }
        for member in members
    }
    found = await run.worker.blend(run.prepared, paths, folder)
    known = {member["id"]: member for member in members}
    text = "\n".join(f"{weight:.3f}  {name}" for name, weight in found["weights"].items())
    return {
        "end": "exit",
        "exit_code": 0,
        "wall_s": found["seconds"],
        "files": {
            "oof.csv": run.artifacts.put_file(Path(found["oof"])),
            "submission.csv": run.artifacts.put_file(Path(found["submission"])),
        },
        "log": run.artifacts.put(f"{found['method']} of\n{text}\n"),
        "members": {
            name: {"weight": weight, "script": known[name]["script"]}
            for name, weight in found["weights"].items()
        },
        "member_s": sum(known[name]["seconds"] for name in found["weights"]),
        "script": run.artifacts.put(await run.worker.blend_driver(found)),
    }


async def challenge(run: Run, number: int, pool: str, single: Best) -> Best | None:
    """The pool's ensemble against the best single solution; None where it does not win beyond noise."""
    members = members_of(run, pool)
    if not run.settings.ensemble or len({member["script"] for member in members}) < 2:
        return None
    name = f"m{number}"
    kept = await blend(run, name, members)
    if kept["exit_code"] != 0 or len(kept["members"]) < 2:
        return None
    entry = Entry(
        attempt=name,
        script=kept["script"],
        execution=kept,
        seconds=kept["member_s"],
        repeatable=False,
    )
    grade, judgement = await judged(run, entry, single)
    wins = judgement.verdict == "accepted"
    work = Work(
        attempt=name,
        kind="ensemble",
        mode="ensemble",
        why="accepted solutions of all traces",
        base=None,
        parent=single["attempt"],
        hypothesis=None,
        repairs=0,
        usage=Usage().model_dump(),
        summary=described(kept),
        script=kept["script"],
        execution=run.artifacts.put_json(kept),
        grade=run.artifacts.put_json(grade),
        verdict=judgement.verdict,
        replaces=wins,
        reasons=judgement.texts,
        codes=judgement.codes,
    )
    attempt = account(run, new_trace(-1) | {"step": number}, work)
    ref = run.artifacts.put_json(attempt)
    announce(run, attempt)
    return best_of_record(attempt, ref) if wins else None


def described(kept: Json) -> str:
    shares = sorted(kept["members"].items(), key=lambda item: -item[1]["weight"])
    return "blend of " + ", ".join(f"{name} {member['weight']:.2f}" for name, member in shares[:6])
