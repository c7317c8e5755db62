"""Presets resolve into settings that stand in run.json."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from graph.settings import PRESETS, Settings


def test_a_preset_sets_several_settings_and_what_is_given_wins() -> None:
    published = Settings(preset="gome")
    assert (published.policy, published.ranking, published.traces) == ("gome", "paper", 4)
    assert Settings(preset="gome", traces=2, ranking="momentum").traces == 2
    assert Settings(preset="tree").memory == "off" and Settings(preset="tree").traces == 1


@pytest.mark.parametrize("name", [*PRESETS, ""])
def test_resolved_settings_are_stored_and_read_back_the_same(name: str) -> None:
    chosen = Settings.model_validate({"preset": name, "steps": 5})
    assert Settings.model_validate(chosen.model_dump()) == chosen


@pytest.mark.parametrize(
    "given", [{"preset": "best"}, {"embedding": "minilm"}, {"ranking": "newest"}]
)
def test_unknown_names_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(given)
