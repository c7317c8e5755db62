"""Whose run a folder is: settings of a copied folder are not obeyed unasked.

`gome import` leaves behind what names a place or a service, or lifts a limit (scope `machine`). A
run folder that was copied as it is may carry the same, with a stranger's values: an endpoint that
gets your key, another variable to take the key from, no isolation. So a run that starts here is
noted in the user's own store, outside of run folders, with these settings; a resume of any other
is refused until the user has looked at them (`gome resume --trust`).
"""

from __future__ import annotations

import json

from graph.settings import Settings, carried_settings
from graph.state import Json
from run.lock import RunError
from task.consent import can_store_consent, give_consent, has_consent

HARMLESS = frozenset(
    {"runs_dir", "prices", "gpus", "slots", "e2b_usd_per_hour", "e2b_life_s", "otel"}
)
"""Settings of scope `machine` that neither send anything nor open anything."""

OFFLINE = {("memory", "off"), ("embedding", "lexical")}
"""Values that send nothing, whatever the defaults are: a default of today was none when an earlier
run began, and the user's own runs must stay the user's own.
"""


def risky_settings(settings: Settings) -> Json:
    """Return what a copied run must not bring along: those settings that are no defaults."""
    names = Settings.model_fields.keys() - carried_settings() - HARMLESS
    stored, plain = settings.model_dump(), Settings().model_dump()  # as run.json has them
    differing = {name: stored[name] for name in sorted(names) if stored[name] != plain[name]}
    return {name: value for name, value in differing.items() if (name, value) not in OFFLINE}


def own_run(run: str, settings: Settings) -> None:
    """Note that the user has chosen these settings for this run."""
    if risky := risky_settings(settings):
        give_consent(_statement(run, risky))


def is_own_run(run: str, settings: Settings) -> bool:
    """Whether the run has no such settings, or the user chose them."""
    risky = risky_settings(settings)
    return not risky or has_consent(_statement(run, risky))


def check_own_run(run: str, settings: Settings, *, trust: bool = False) -> str:
    """Return a warning for a run that may be a stranger's, or nothing for the user's own.

    Args:
        run: the run's id.
        settings: as run.json has them.
        trust: the user accepts them; they are noted.

    Raises:
        RunError: the settings were not chosen here, and the user has a store to note them in.
    """
    if is_own_run(run, settings):
        return ""
    if trust:
        own_run(run, settings)
        return ""
    texts = [f"{name}={json.dumps(value)}"[:80] for name, value in risky_settings(settings).items()]
    if not can_store_consent():
        return (
            f"this run's settings may be a stranger's: {', '.join(texts)} (without a writable "
            "home Gome cannot tell)"
        )
    raise RunError(
        f"{run} was not started by this account, and its run.json sets {', '.join(texts)}; if you "
        "want these settings to be obeyed here, use `gome resume --trust`"
    )


def _statement(run: str, risky: Json) -> bytes:
    return json.dumps(["run", run, risky], sort_keys=True).encode()
