"""What looks at the data printed: texts in the store of transcripts, listed in the events."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from reasoner.protocol import ProbeFinding
from report.formatting import clean_text
from run.artifacts import ArtifactError
from run.events import Events, to_amount
from run.transcripts import open_call_store

OUTPUT_HEAD, OUTPUT_TAIL = 1_400, 600  # characters of what a script printed
MAX_QUESTION_CHARS = 300
N_SHOWN = 4  # looks in a brief, the latest


class ProbeRecord(BaseModel):
    """One look as it is stored."""

    model_config = ConfigDict(frozen=True)
    question: str
    output: str = ""
    end: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    usd: float = 0.0


def shorten_output(text: str) -> str:
    """Return head and tail of an output, without control characters."""
    limit = OUTPUT_HEAD + OUTPUT_TAIL
    head = clean_text(text[: 4 * limit], 4 * limit, lines=True).strip()
    if len(text) <= 4 * limit and len(head) <= limit:
        return head
    tail = clean_text(text[-4 * limit :], 4 * limit, lines=True).strip()
    return f"{head[:OUTPUT_HEAD]}\n[… left out …]\n{tail[-OUTPUT_TAIL:]}"


def read_probes(folder: Path, events: Events) -> list[ProbeFinding]:
    """Return what the latest looks of a run printed, oldest first."""
    store, found = open_call_store(folder), list[ProbeFinding]()
    for event in events.probed[-N_SHOWN:]:
        if ref := event.get("output"):
            try:
                output = store.get(str(ref))
            except ArtifactError:
                continue
            question = str(event.get("question"))[:MAX_QUESTION_CHARS]
            found.append(ProbeFinding(question=question, output=shorten_output(output)))
    return found


def probe_seconds(events: Events) -> float:
    """Return how long the looks of a run have taken, the model's answers included."""
    return sum(to_amount(event.get("seconds")) for event in events.probed)
