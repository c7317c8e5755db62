"""The request forms for a structured answer, best first, and which one works at an endpoint."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Literal, get_args

from reasoner.chat.endpoint.client import ModelEndpoint
from reasoner.chat.message import Message

Form = Literal["json_schema", "function", "json_mode", "text"]
FORMS: tuple[Form, ...] = get_args(Form)
REMEMBER_S = 7 * 24 * 3600.0  # endpoints improve; after a week the better forms are tried again
TOOL_NAME = "answer"


def form_parameters(form: Form, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the request parameters of a form.

    Schemas are sent as plain dicts without `strict`, which every server accepts.
    """
    if form == "json_schema":
        named = {"name": TOOL_NAME, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if form == "function":
        function = {"name": TOOL_NAME, "description": "Give the answer.", "parameters": schema}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": TOOL_NAME}},
        }
    return {"response_format": {"type": "json_object"}} if form == "json_mode" else {}


def instruct_form(form: Form, messages: list[Message], schema: dict[str, Any]) -> list[Message]:
    """Return the messages with the schema spelled out where the request does not carry it."""
    if form == "json_schema":
        return messages
    text = f"Answer by calling the tool `{TOOL_NAME}`."
    if form != "function":
        text = (
            "Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n"
            f"{json.dumps(schema)}"
        )
    last = messages[-1]
    instructed: Message = {"role": last["role"], "content": f"{last['content']}\n\n{text}"}
    return [*messages[:-1], instructed]


# forms that worked, remembered over all runs of this user


def known_forms_path() -> Path:
    """Return the file of remembered forms."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "gome" / "endpoints.json"


def known_form(endpoint: ModelEndpoint) -> Form:
    """Return the form that worked last at this endpoint, else the best one."""
    entry = read_known_forms().get(endpoint_label(endpoint))
    if not isinstance(entry, dict) or entry.get("form") not in FORMS:
        return FORMS[0]
    stored = entry.get("t")
    age_s = time.time() - (stored if isinstance(stored, int | float) else 0)
    form: Form = entry["form"]
    return form if age_s < REMEMBER_S else FORMS[0]


def remember_form(endpoint: ModelEndpoint, form: Form) -> None:
    """Record the form that worked; an unwritable folder only costs calls in the next run."""
    table, label = read_known_forms(), endpoint_label(endpoint)
    known = table.get(label)
    if isinstance(known, dict) and known.get("form") == form:
        return
    table[label] = {"form": form, "t": round(time.time())}
    path = known_forms_path()
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(table, indent=1))
        temporary.replace(path)
    except OSError:
        return


def read_known_forms() -> dict[str, Any]:
    """Read the remembered forms; empty if the file is missing or damaged."""
    try:
        table = json.loads(known_forms_path().read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def endpoint_label(endpoint: ModelEndpoint) -> str:
    """Return the key of an endpoint in the table."""
    return f"{endpoint.model} at {endpoint.address.public_url}"
