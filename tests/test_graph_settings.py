"""Settings: presets, scopes, retired names."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from graph.settings import (
    GROUPS,
    RETIRED,
    Settings,
    carried_settings,
    fixed_in_fork,
    load_settings,
    task_settings,
)
from policies.registry import POLICIES
from reasoner.settings import ModelSettings
from settings.field import about_setting
from settings.search import BESIDE_POLICY, PRESETS, PolicyName


def test_a_preset_sets_several_settings_and_explicit_values_win() -> None:
    published = Settings(preset="gome")
    assert (published.policy, published.ranking, published.traces) == ("gome", "paper", 4)
    assert Settings(preset="gome", traces=2, ranking="momentum").traces == 2
    assert Settings(preset="tree").memory == "off" and Settings(preset="tree").traces == 1


def test_every_policy_can_be_named_has_a_preset_and_is_described() -> None:
    names = list(get_args(PolicyName))
    assert names == list(POLICIES) == list(PRESETS) and set(BESIDE_POLICY) <= set(names)
    page = (Path(__file__).parents[1] / "docs" / "design.md").read_text()
    assert all(f"\n| `{name}` | " in page.partition("## Policies")[2] for name in names)


@pytest.mark.parametrize("name", [*PRESETS, ""])
def test_resolved_settings_are_stored_and_read_back_the_same(name: str) -> None:
    chosen = Settings.model_validate({"preset": name, "steps": 5})
    assert Settings.model_validate(chosen.model_dump()) == chosen


@pytest.mark.parametrize(
    "given", [{"preset": "best"}, {"embedding": "word2vec"}, {"ranking": "newest"}]
)
def test_unknown_names_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(given)


def test_every_setting_is_declared_once_with_description_and_scope() -> None:
    names = [
        name for group in GROUPS if issubclass(group, BaseModel) for name in group.model_fields
    ]
    assert sorted(names) == sorted(Settings.model_fields) and len(set(names)) == len(names)
    assert list(Settings.model_fields) == names  # the order of pages and of `gome run --help`
    for name, field in Settings.model_fields.items():
        assert about_setting(field).scope, name
        assert field.description, name
        assert field.description[0].isupper() or field.description.startswith("postgresql"), name


def test_a_task_folder_sets_the_loop_and_nothing_of_the_machine() -> None:
    assert {"steps", "seed", "max_usd", "n_folds", "audit"} <= task_settings()
    dangerous = {"base_url", "key_env", "isolation", "network", "cache", "prices", "model"}
    assert not task_settings() & dangerous and task_settings() < carried_settings()
    assert fixed_in_fork() == {"audit", "n_folds", "config", "surrogate"}
    places = {
        "sandbox",
        "ray_address",
        "isolation",
        "gpus",
        "network",
        "base_url",
        "memory",
        "embedding",
        "runs_dir",
    }
    assert not places & carried_settings() and {"model", "evaluation"} <= carried_settings()


def test_settings_of_an_earlier_release_are_read_and_a_user_cannot_give_them() -> None:
    stored = Settings(steps=3).model_dump() | dict.fromkeys(RETIRED, False)
    assert load_settings(stored) == Settings(steps=3)
    with pytest.raises(ValidationError):
        Settings.model_validate(stored)


def test_a_model_has_the_defaults_of_a_run() -> None:
    assert isinstance(Settings(), ModelSettings)
    assert (ModelSettings().retries, ModelSettings().backoff_s) == (6, 2.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("time_s", "1e400h"), ("run_time_s", "inf"), ("target", "nan"), ("max_usd", float("inf"))],
)
def test_numbers_are_finite(name: str, value: str | float) -> None:
    """Else run.json would be no JSON."""
    with pytest.raises(ValidationError, match="finite number|expected seconds"):
        Settings.model_validate({name: value})
