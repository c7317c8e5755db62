"""How a setting is declared: its default and description, and who may set it."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

Scope = Literal["task", "data", "run", "machine"]
AUTO: Final = "auto"  # of a number that follows from the run
NOUNS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list of texts",
    dict: "a JSON object",
}


@dataclass(frozen=True)
class About:
    """What a setting's field says beyond its type, default, bounds and description.

    Attributes:
        scope: Who may set it, and for how long the value holds.
            `task`: the user, or the gome.toml of a task folder; it concerns the loop alone.
            `data`: as `task`, but the data are prepared by it, so that a fork cannot change it.
            `run`: only the user: it costs or reveals something, but cannot redirect a key,
            reach a place or loosen the isolation. `gome import` carries these three scopes.
            `machine`: only the user, and `gome import` leaves it behind: it names a place or a
            service, lifts a limit, or was measured here. The default, so that a new setting of a
            stranger's run is not obeyed until someone has thought about it.
        flag: Placeholder of the value where `gome run` has an option of its own for the
            setting (empty for a switch); None where `--set` is the only way.
        unit: `s` (the command line then reads 90, 30m or 12h), `bytes`, `USD`, or empty.
    """

    scope: Scope
    flag: str | None
    unit: str


class SettingsGroup(BaseModel):
    """Base of all groups: immutable; an unknown name and an infinite number are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def setting(
    default: Any,
    description: str,
    *,
    scope: Scope = "machine",
    flag: str | None = None,
    unit: str = "",
    **constraints: Any,
) -> Any:
    """Declare a setting; `constraints` (ge, le, pattern, title, …) are pydantic's Field's."""
    field: FieldInfo = Field(default, description=description, **constraints)
    field.metadata.append(About(scope, flag, unit))
    return field


def about_setting(field: FieldInfo) -> About:
    """Return what `setting` recorded with a field. Raises StopIteration for any other field."""
    return next(entry for entry in field.metadata if isinstance(entry, About))


def describe_rejection(error: ValidationError, fields: dict[str, FieldInfo]) -> tuple[str, str]:
    """Return the first setting that was refused, and in our words what is expected of it."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    if first["type"] == "finite_number":
        return name, "expected a finite number"
    if name in fields and first["type"] != "value_error":
        return name, f"expected {expected_values(fields[name])}"
    return name, first["msg"].removeprefix("Value error, ")


def expected_values(field: FieldInfo) -> str:
    """Say what a setting may be: `a whole number from 1 to 64`, `one of never, stuck, each`."""
    kinds = [kind for kind in typing.get_args(field.annotation) if kind is not type(None)]
    is_optional = type(None) in typing.get_args(field.annotation)
    kind = kinds[0] if is_optional else field.annotation
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(str(choice) for choice in typing.get_args(kind) if choice)}"
    if AUTO in auto_kinds(field):
        return f"{AUTO}, or a number above 0"
    noun = NOUNS.get(typing.get_origin(kind) or kind, "another value")
    return f"{noun}{_describe_bounds(field)}"


def auto_kinds(field: FieldInfo) -> tuple[Any, ...]:
    """Return `auto` with the types that a setting takes beside it; empty where it takes none."""
    members = typing.get_args(field.annotation)
    words = [word for part in members for word in typing.get_args(part) if word == AUTO]
    plain = [_plain_type(part) for part in members if typing.get_origin(part) is not Literal]
    return (*words, *plain) if words else ()


def _plain_type(annotation: Any) -> Any:
    """Return the type within an Annotated."""
    is_annotated = typing.get_origin(annotation) is typing.Annotated
    return typing.get_args(annotation)[0] if is_annotated else annotation


def _describe_bounds(field: FieldInfo) -> str:
    """Return ` from 1 to 64`, ` above 0`, ` of at most 20 characters` or an empty text."""
    bounds: dict[str, Any] = {}
    for entry in field.metadata:
        for name in ("ge", "gt", "le", "lt", "max_length", "pattern"):
            if (value := getattr(entry, name, None)) is not None:
                bounds[name] = value
    if bounds.keys() == {"ge", "le"}:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {
        "ge": "of at least {}",
        "gt": "above {}",
        "le": "of at most {}",
        "lt": "below {}",
        "max_length": "of at most {} characters",
        "pattern": "that matches {}",
    }
    texts = [words[name].format(value) for name, value in bounds.items()]
    return f" {' and '.join(texts)}" if texts else ""
