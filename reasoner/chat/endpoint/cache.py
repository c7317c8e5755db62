"""Exchanges kept on disk: a request once answered is answered alike again, for replays and tests.

One JSON file per exchange, named by the hash of model, messages, form and salt, so that a change of a prompt shows as a new
file in review. A kept answer costs nothing again. Folders hold prompts and answers, never a key.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from reasoner.chat.endpoint.client import Endpoint, Message, Reply
from reasoner.chat.endpoint.faults import Closed
from reasoner.protocol import Usage


class Exchanges(Protocol):
    """Where replies are kept."""

    def find(
        self, endpoint: Endpoint, messages: list[Message], extra: dict[str, Any], salt: str
    ) -> Reply | None: ...

    def keep(
        self,
        endpoint: Endpoint,
        messages: list[Message],
        extra: dict[str, Any],
        salt: str,
        reply: Reply,
    ) -> None: ...


class Nowhere:
    """Keeps nothing."""

    def find(
        self, endpoint: Endpoint, messages: list[Message], extra: dict[str, Any], salt: str
    ) -> Reply | None:
        return None

    def keep(
        self,
        endpoint: Endpoint,
        messages: list[Message],
        extra: dict[str, Any],
        salt: str,
        reply: Reply,
    ) -> None:
        return None


class Folder:
    """Keeps every exchange in a folder. `only`: what is not there is an error with this remedy, and nothing is sent."""

    def __init__(self, root: Path, only: str = "") -> None:
        self.root = root
        self.only = only

    def find(
        self, endpoint: Endpoint, messages: list[Message], extra: dict[str, Any], salt: str
    ) -> Reply | None:
        path = self.root / f"{key(endpoint, messages, extra, salt)}.json"
        try:
            kept = json.loads(path.read_text())["reply"]
        except FileNotFoundError:
            if self.only:
                raise Closed(
                    f"{path} is not recorded: the prompt {salt or messages[-1]['content'][:60]!r} is new or changed; {self.only}"
                ) from None
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # damaged: asked anew and written over
        return Reply(**(kept | {"usage": Usage()}))

    def keep(
        self,
        endpoint: Endpoint,
        messages: list[Message],
        extra: dict[str, Any],
        salt: str,
        reply: Reply,
    ) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        name = key(endpoint, messages, extra, salt)
        request = {
            "model": endpoint.model,
            "salt": salt,
            "messages": messages,
            **form(endpoint, extra),
        }
        value = {"request": request, "reply": asdict(reply) | {"usage": reply.usage.model_dump()}}
        temporary = self.root / f".{name}.{os.getpid()}-{threading.get_ident()}.tmp"
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(self.root / f"{name}.json")


def form(endpoint: Endpoint, extra: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": endpoint.parameters(), "form": extra}


def key(endpoint: Endpoint, messages: list[Message], extra: dict[str, Any], salt: str) -> str:
    parts = [endpoint.model, salt, messages, form(endpoint, extra)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
