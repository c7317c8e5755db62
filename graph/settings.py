"""Every setting of a run in one frozen class, which is also the graph's context schema."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from memory.settings import MemorySettings
from reasoner.settings import ModelSettings
from sandbox.settings import SandboxSettings
from settings.budget import BudgetSettings
from settings.field import Scope, about_setting
from settings.operation import OperationSettings
from settings.operation import without_password as without_password
from settings.parse import read_setting_texts
from settings.search import PRESETS, SearchSettings
from settings.trust import TrustSettings

# settings of earlier releases: a stored run.json may still name them, a user may not
RETIRED = frozenset({"warm_start"})


class Settings(  # pydantic lists the fields of the last base first
    OperationSettings,
    MemorySettings,
    SandboxSettings,
    ModelSettings,
    TrustSettings,
    BudgetSettings,
    SearchSettings,
):
    """The settings of a run, all names flat. run.json stores them resolved; a resume reads them."""

    @model_validator(mode="before")
    @classmethod
    def _resolve_given(cls, given: Any) -> Any:
        """Read texts such as `5m`, and add the preset's values, so that run.json stores them."""
        if not isinstance(given, dict):
            return given
        values = read_setting_texts(given, cls.model_fields)
        preset = values.get("preset")
        return {**PRESETS.get(preset if isinstance(preset, str) else "", {}), **values}


GROUPS = Settings.__bases__[::-1]


def load_settings(stored: dict[str, Any]) -> Settings:
    """Return the settings stored in a run.json, also of an earlier release."""
    return Settings.model_validate(
        {name: value for name, value in stored.items() if name not in RETIRED}
    )


def task_settings() -> frozenset[str]:
    """Names that the gome.toml of a task folder may set."""
    return _names_in("task", "data")


def carried_settings() -> frozenset[str]:
    """Names that an imported run keeps; all others take the defaults of the new machine."""
    return _names_in("task", "data", "run")


def fixed_in_fork() -> frozenset[str]:
    """Names that a fork cannot change, because the data were prepared by them."""
    return _names_in("data")


def _names_in(*scopes: Scope) -> frozenset[str]:
    fields = Settings.model_fields.items()
    return frozenset(name for name, field in fields if about_setting(field).scope in scopes)
