"""Rescue of a stuck trace: it moves to the run's best (migration), or combines it with what others proved and it lacks (crossover)."""

from __future__ import annotations

from typing import NamedTuple

from briefs.brief import fact
from graph.state import Best, Trace
from reasoner.protocol import Crossover, Diagnosis, Effect, Hypothesis
from run.run import Json, Run

N_LACKS = 6


class Rescue(NamedTuple):
    """Where a stuck trace goes on from; `key` says what was done, so that it is done once only."""

    start: Best
    key: str
    cross: str | None  # artifact: {crossover, diagnosis}
    why: str


def rescue(run: Run, row: Trace, rows: list[Trace], best: Best | None) -> Rescue | None:
    """None where nothing new is left to start from. `rows`: all traces, those that this merge has rescued already as they are now."""
    if best is None:
        return None
    own = row["best"]
    start = (
        best
        if own is None or (best["script"] != own["script"] and best["ref"] not in row["rescued"])
        else own
    )
    if run.settings.sharing and (crossed := crossing(run, row, rows, start)):
        return crossed
    if own is not None and start["script"] == own["script"]:
        return None
    return Rescue(start, start["ref"], None, f"goes on from {start['attempt']}")


def crossing(run: Run, row: Trace, rows: list[Trace], start: Best) -> Rescue | None:
    """The best of another trace and the accepted hypotheses that `start` lacks, unless this was tried."""
    lacks = lacking(run, row, rows, start)
    if not lacks:
        return None
    key = "+".join([start["ref"][:16], *sorted(attempt["id"] for attempt in lacks)])
    if any(key in other["rescued"] for other in rows):  # one trace tries a combination, not each
        return None
    partner = partner_of(run, rows, lacks)
    crossover = Crossover(
        partner=run.artifacts.get(partner["script"]),
        summary=partner["summary"],
        lacks=[fact(item) for item in lacks],
    )
    given = {"crossover": crossover.model_dump(), "diagnosis": diagnosis(crossover).model_dump()}
    names = ", ".join(attempt["id"] for attempt in lacks)
    return Rescue(
        start,
        key,
        run.artifacts.put_json(given),
        f"combines {start['attempt']} with what {names} proved",
    )


def lacking(run: Run, row: Trace, rows: list[Trace], start: Best) -> list[Json]:
    """Accepted for a measured gain in some trace, not on the path to `start`, not tried in vain on that path or by this trace; surest first."""
    chains = {other["trace"]: run.gists(other["head"]) for other in rows}
    known = {attempt["id"]: attempt for chain in chains.values() for attempt in chain}
    path = path_to(known, start["attempt"])
    held = {name for attempt in path for name in (words(attempt), *attempt.get("took", []))}
    proved = [
        attempt for attempt in known.values() if gained(attempt) and words(attempt) not in held
    ]
    if (
        not proved
    ):  # asked at every merge of a stuck trace: what follows looks at every attempt of the run
        return []
    places = {attempt["id"] for attempt in path}
    refuted = in_vain(
        [
            *chains[row["trace"]],
            *(attempt for attempt in known.values() if attempt["parent"] in places),
        ]
    )
    found = [attempt for attempt in proved if words(attempt) not in refuted]
    once = {words(attempt): attempt for attempt in sorted(found, key=sureness)}
    return [
        run.attempt(attempt["ref"])
        for attempt in sorted(once.values(), key=sureness, reverse=True)[:N_LACKS]
    ]


def path_to(known: dict[str, Json], name: str | None) -> list[Json]:
    """The attempts that a solution is made of, across traces."""
    path: list[Json] = []
    while name in known:
        path.append(known[name])
        name = known[name]["parent"]
    return path


def gained(attempt: Json) -> bool:
    return (
        bool(attempt["hypothesis"])
        and attempt["verdict"] == "accepted"
        and (attempt["gain"] or 0) > 0
        and attempt["mode"] != "crossover"
    )


def sureness(attempt: Json) -> float:
    return float(attempt["gain"] / max(attempt["gain_se"] or 0.0, 1e-12))


def words(attempt: Json) -> str:
    """A hypothesis by its move, or by its words."""
    hypothesis = attempt["hypothesis"] or {}
    return hypothesis.get("move") or plain(str(hypothesis.get("statement", "")))


def in_vain(attempts: list[Json]) -> set[str]:
    """What was tried without a gain, by itself or in a crossover."""
    lost = [attempt for attempt in attempts if attempt["verdict"] != "accepted"]
    return {name for attempt in lost for name in (words(attempt), *attempt.get("took", []))}


def took(run: Run, row: Trace, mode: str) -> list[str]:
    """What a crossover was asked to take over, for its record."""
    if mode != "crossover" or row["cross"] is None:
        return []
    lacks = run.artifacts.get_json(row["cross"])["crossover"]["lacks"]
    return [item["move"] or plain(item["hypothesis"]) for item in lacks]


def plain(statement: str) -> str:
    return " ".join(statement.lower().split())


def partner_of(run: Run, rows: list[Trace], lacks: list[Json]) -> Json:
    """The best of the trace that the surest of the lacking hypotheses comes from; its own attempt where that has none."""
    row = next(row for row in rows if row["trace"] == lacks[0]["trace"])
    return run.attempt(row["best"]["ref"]) if row["best"] else lacks[0]


def diagnosis(crossover: Crossover) -> Diagnosis:
    """The step that the harness itself proposes."""
    names = "; ".join(item.hypothesis for item in crossover.lacks)
    hypothesis = Hypothesis(
        id="crossover",
        challenge="no further change helps here, while other traces proved changes that this script lacks",
        statement=f"take over what helped in other traces: {names}"[:600],
        component="workflow",
        plan="merge the changes into the best script, keeping what it has",
        effect=Effect(sign=1, size="medium"),
        confidence=0.4,
    )
    return Diagnosis(causes=[hypothesis.challenge], hypotheses=[hypothesis])
