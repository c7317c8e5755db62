"""How a run's sessions ended, and whether the run itself has."""

from __future__ import annotations

from pydantic import ValidationError

from graph.routes import route_traces
from graph.state import Best, Json, RunState
from run.artifacts import ArtifactError
from run.best import PublishedBest, read_best
from run.events import iterate_events, parse_event, read_lines
from run.folder import read_run_meta
from run.run import Run

WAITING, INTERRUPTED, PAUSED = "waiting", "interrupted", "paused"
OPEN_ENDS = (WAITING, INTERRUPTED, PAUSED, "stopped")  # of a session alone: its run goes on
KILLED = (
    "the previous session was killed (kill -9, out of memory, or power loss); "
    "finished work is not repeated"
)
IMPORTED = "imported; finished work is not repeated"
BESIDE = frozenset({"warning", "embedding", "checked", "run_resumed"})  # they do no work


def previous_end(run: Run) -> str:
    """How the session before this one ended."""
    latest, n_bytes = "", 0
    imported_bytes = read_run_meta(run.folder).get("imported_bytes")
    is_first = isinstance(imported_bytes, int)  # session since the import
    for line in read_lines(run.events.path):
        n_bytes += len(line)
        event = parse_event(line) or {}
        ev = event.get("ev")
        if isinstance(imported_bytes, int) and ev == "run_resumed" and n_bytes > imported_bytes:
            is_first = False
        if ev == "run_ended":
            latest = str(event.get("reason", ""))
        elif ev not in ("warning", "embedding"):  # a session tells them before it begins
            latest = ""
    return IMPORTED if is_first else latest or KILLED


def ended_state(run: Run, state: RunState) -> RunState | None:
    """Return the state after the finale of a run that has ended; None: work is left.

    `state`: after its last round. The events say that the run ended, no work follows them, and
    what is in best/ is what they say and whole.
    """
    if route_traces(state) != "finalize":
        return None
    end = _final_end(run)
    published = read_best(run.folder / "best")
    if end is None or not (run.folder / "best" / "submission.csv").is_file():
        return None
    submission = str(run.folder / "best" / "submission.csv")
    if published is None or published.baseline:
        is_same = published is not None and end.get("best") is None and state.best is None
        return state.evolve(submission=submission) if is_same else None
    best = _whole_best(run, published)
    if best is None or not isinstance(said := end.get("best"), dict):
        return None
    is_same = (said.get("attempt"), said.get("score")) == (best.attempt, best.score)
    return state.evolve(submission=submission, best=best) if is_same else None


def _final_end(run: Run) -> Json | None:
    """Return the event with which the run ended; None: it has not, or it went on afterwards."""
    end: Json | None = None
    for event in iterate_events(run.events.path):
        if event.get("ev") == "run_ended":
            end = event
        elif event.get("ev") not in BESIDE:
            end = None
    return end if end and end.get("reason") not in OPEN_ENDS else None


def _whole_best(run: Run, published: PublishedBest) -> Best | None:
    """Return the published best, if the run stores its attempt with all its files."""
    try:
        best = Best.model_validate(published.model_dump())
        attempt = run.attempt(best.ref)
    except (ValidationError, ArtifactError):
        return None
    scripts = [member.script for member in attempt.members.values() if not member.ref]
    refs = [attempt.script, attempt.oof, attempt.submission, *scripts]
    stored = all(run.artifacts.path(ref).is_file() for ref in refs if ref)
    return best if stored and attempt.id == best.attempt else None
