"""Cache of exchanges on disk, for replays and tests: an equal request gets its recorded reply.

One JSON file per exchange, named by the hash of model, messages, form and salt, so that a changed
prompt appears as a new file in review. A cached reply costs nothing. The files contain prompts and
answers, never a key.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.faults import PermanentError
from reasoner.chat.message import Message
from reasoner.protocol import Usage

REPLY_TEXTS = ("text", "arguments", "refusal", "finish")


@dataclass(frozen=True)
class ChatRequest:
    """One request to a model.

    `form` are the parameters that ask for a structured answer. `salt` tells equal prompts at
    different places of a run apart.
    """

    endpoint: ModelEndpoint
    messages: list[Message]
    form: dict[str, Any]
    salt: str

    def parameters(self) -> dict[str, Any]:
        """Return what the request sends besides model and messages."""
        return {"parameters": self.endpoint.parameters(), "form": self.form}

    def file_name(self) -> str:
        """Return the name of the file that records this exchange."""
        parts = [self.endpoint.model, self.salt, self.messages, self.parameters()]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return f"{digest[:24]}.json"


class Exchanges(Protocol):
    """Store of earlier replies."""

    def find(self, request: ChatRequest) -> Reply | None:
        """Return the recorded reply to an equal request, or None."""

    def store(self, request: ChatRequest, reply: Reply) -> None:
        """Record the reply to a request."""


class NoExchanges:
    """Store that records nothing."""

    def find(self, request: ChatRequest) -> Reply | None:
        """Return None."""
        return None

    def store(self, request: ChatRequest, reply: Reply) -> None:
        """Discard the reply."""


class ExchangeFolder:
    """Store in a folder.

    With `only`, a request that is not recorded is an error with this remedy; nothing is sent.
    """

    def __init__(self, root: Path, only: str = "") -> None:
        self.root = root
        self.only = only

    def find(self, request: ChatRequest) -> Reply | None:
        """Return the recorded reply; a damaged file counts as missing and is overwritten later."""
        path = self.root / request.file_name()
        try:
            fields = json.loads(path.read_text())["reply"]
            texts = {name: fields[name] for name in REPLY_TEXTS}
            if not all(isinstance(text, str) for text in texts.values()):
                return None
        except FileNotFoundError:
            if self.only:
                prompt = request.salt or request.messages[-1]["content"][:60]
                raise PermanentError(
                    f"{path} is not recorded: the prompt {prompt!r} is new or changed; {self.only}"
                ) from None
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return Reply(**texts, usage=Usage())

    def store(self, request: ChatRequest, reply: Reply) -> None:
        """Write request and reply in one atomic step."""
        self.root.mkdir(parents=True, exist_ok=True)
        name = request.file_name()
        asked = {
            "model": request.endpoint.model,
            "salt": request.salt,
            "messages": request.messages,
            **request.parameters(),
        }
        value = {"request": asked, "reply": asdict(reply) | {"usage": reply.usage.model_dump()}}
        temporary = self.root / f".{name}.{os.getpid()}-{threading.get_ident()}.tmp"
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(self.root / name)
