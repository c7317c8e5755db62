"""Looks at the data as the report shows them: question, script and what it printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from report.artifact_texts import read_artifact
from report.formatting import clean_text, format_duration
from report.model import ProbeView, RunView
from report.transcripts import LostTextError, read_call_text

MAX_CHARS = 6_000


@dataclass(frozen=True)
class ProbeRow:
    """One look."""

    title: str
    script: str
    output: str


def probe_rows(view: RunView, run_dir: Path) -> list[ProbeRow]:
    """Return the looks of a run, oldest first."""
    return [probe_row(probe, run_dir) for probe in view.probes]


def probe_row(probe: ProbeView, run_dir: Path) -> ProbeRow:
    """Return one look with its texts."""
    try:
        output = read_call_text(run_dir, probe.output) if probe.output else ""
    except LostTextError as error:
        output = f"It cannot be shown: {error}."
    seconds = f" ({format_duration(probe.seconds)})" if probe.seconds else ""
    script = read_artifact(run_dir, probe.script, MAX_CHARS) if probe.script else ""
    return ProbeRow(
        title=f"{probe.attempt}: {probe.question or 'no question'}{seconds}",
        script=clean_text(script, MAX_CHARS, lines=True),
        output=clean_text(output, MAX_CHARS, lines=True),
    )
