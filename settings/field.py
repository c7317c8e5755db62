"""How a setting is declared: its default and description, and who may set it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Scope = Literal["task", "data", "user", "machine"]


@dataclass(frozen=True)
class About:
    """What a setting's field says beyond its type, default, bounds and description.

    Attributes:
        scope: Who may set it, and for how long the value holds.
            `task`: the user, or the gome.toml of a task folder; it concerns the loop alone.
            `data`: as `task`, but the data are prepared by it, so that a fork cannot change it.
            `user`: only the user: a task folder may come from a stranger, who must not
            redirect the API key or loosen the isolation.
            `machine`: only the user, and bound to the machine: `gome import` resets it.
        flag: Placeholder of the value where `gome run` has an option of its own for the
            setting (empty for a switch); None where `--set` is the only way.
        unit: `s` (the command line then reads 90, 30m or 12h), `bytes`, `USD`, or empty.
    """

    scope: Scope
    flag: str | None
    unit: str


class SettingsGroup(BaseModel):
    """Base of all groups: immutable, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def setting(
    default: Any,
    description: str,
    *,
    scope: Scope = "user",
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
