"""The transcript of a cell: what was said and run, one JSON line each, without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reasoner.chat.endpoint.faults import hide_secrets
from reasoner.protocol import Usage
from reasoner.transcript import ModelCall

FILE = "transcript.jsonl"


class Transcript:
    """Writes the file. Messages that an earlier request began with are not written again."""

    def __init__(self, folder: Path, secrets: tuple[str, ...]) -> None:
        self.path, self.secrets = folder / FILE, secrets
        self.usage = Usage()
        self._sent: list[tuple[str, str]] = []

    def write(self, kind: str, **fields: Any) -> None:
        """Append a line; texts are masked."""
        safe = {
            name: hide_secrets(value, self.secrets) if isinstance(value, str) else value
            for name, value in fields.items()
        }
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, **safe}) + "\n")

    def keep_call(self, call: ModelCall) -> None:
        """Append an exchange with a model; its usage counts."""
        turns = [(turn.role, turn.text) for turn in call.turns]
        n_known = count_common(turns, self._sent)
        self._sent = turns
        self.usage += call.usage
        self.write(
            "call",
            form=call.form,
            n_known=n_known,
            sent=[{"role": role, "text": text} for role, text in turns[n_known:]],
            answer=call.answer,
            thinking=call.thinking,
            finish=call.finish,
            error=call.error,
            usage=call.usage.model_dump(),
            seconds=round(call.seconds, 3),
        )


def count_common(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> int:
    """Return how many messages at the beginning are the same."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
