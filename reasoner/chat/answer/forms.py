"""The forms in which a structured answer can be asked for, best first, and which of them an endpoint is known to honour."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Literal, get_args

from reasoner.chat.endpoint.client import Endpoint, Message

Form = Literal["json_schema", "function", "json_mode", "text"]
FORMS: tuple[Form, ...] = get_args(Form)
KEPT_S = 7 * 24 * 3600.0  # endpoints learn; after a week the better forms are tried again
TOOL = "answer"


def body(form: Form, schema: dict[str, Any]) -> dict[str, Any]:
    """What the form adds to the request. Schemas travel as plain dicts and unstrict: every server takes those."""
    if form == "json_schema":
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": TOOL, "schema": schema},
            }
        }
    if form == "function":
        function = {"name": TOOL, "description": "Give the answer.", "parameters": schema}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": TOOL}},
        }
    return {"response_format": {"type": "json_object"}} if form == "json_mode" else {}


def instructed(form: Form, messages: list[Message], schema: dict[str, Any]) -> list[Message]:
    """The messages, with the schema spelled out where the request does not carry it."""
    if form == "function":
        return [*messages[:-1], added(messages[-1], f"Answer by calling the tool `{TOOL}`.")]
    if form == "json_schema":
        return messages
    text = f"Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n{json.dumps(schema)}"
    return [*messages[:-1], added(messages[-1], text)]


def added(message: Message, text: str) -> Message:
    return message | {"content": f"{message['content']}\n\n{text}"}


# what is known of endpoints, over all runs of this user


def known_file() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "gome" / "endpoints.json"


def known_form(endpoint: Endpoint) -> Form:
    """The best form not known to fail at this endpoint."""
    entry = read().get(name(endpoint))
    fresh = (
        isinstance(entry, dict)
        and entry.get("form") in FORMS
        and time.time() - float(entry.get("t") or 0) < KEPT_S
    )
    return entry["form"] if fresh and entry else FORMS[0]


def remember(endpoint: Endpoint, form: Form) -> None:
    """Keeps what works; a folder that cannot be written costs a few calls in the next run and nothing else."""
    table = read()
    if (table.get(name(endpoint)) or {}).get("form") == form:
        return
    path = known_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        temporary.write_text(
            json.dumps(table | {name(endpoint): {"form": form, "t": round(time.time())}}, indent=1)
        )
        temporary.replace(path)
    except OSError:
        return


def read() -> dict[str, Any]:
    try:
        table = json.loads(known_file().read_text())
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def name(endpoint: Endpoint) -> str:
    return f"{endpoint.model} at {endpoint.address.shown}"
