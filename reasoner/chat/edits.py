"""Search/replace edits against a script."""

from __future__ import annotations

from pydantic import BaseModel, Field


class EditError(Exception):
    """An edit that does not fit the script; the text is fit to be sent back to the model."""


class Edit(BaseModel):
    search: str = Field(description="lines copied exactly from the script; must occur once")
    replace: str = Field(description="what stands there instead")


def apply(script: str, edits: list[Edit]) -> str:
    """The script after all edits, in order. Raises EditError."""
    for number, edit in enumerate(edits, 1):
        if script.count(edit.search) != 1 or not edit.search.strip():
            raise EditError(f"edit {number}: its search text occurs {script.count(edit.search)} times in the script; it must occur once")
        script = script.replace(edit.search, edit.replace)
    return script
