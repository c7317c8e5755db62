"""Settings of models and their endpoint, without a secret: the key stays in the environment."""

from __future__ import annotations

from typing import Any, Literal

from settings.field import SettingsGroup, setting

VERBS = ("draft", "diagnose", "update", "repair", "review")
PROBE_VERB = "probe"
"""The verb that looks at the data; without a model of its own, that of `diagnose`."""
FILE_VERB = "write"
"""The verb that writes read.py and metric.py; without a model of its own, that of `draft`."""


class ModelSettings(SettingsGroup):
    """Models: which ones answer, at which endpoint, and what they may cost."""

    model: list[str] = setting(
        [],
        "Model of the OpenAI-compatible endpoint, or verb=model for one verb (draft, diagnose,"
        " update, repair, review, probe, write); empty: the embedded expert.",
        flag="NAME",
        scope="run",
    )
    calls: Literal["one", "two"] = setting(
        "one",
        "Calls per step: one (the diagnosis comes with the complete change for the hypothesis that"
        " it would take; a short second call in the same conversation only where another one is"
        " chosen or an edit does not apply), or two (a diagnosis, then the change). With models of"
        " their own for diagnose and update there are always two.",
        scope="run",
    )
    base_url: str | None = setting(
        None,
        "Base URL of the endpoint; empty: OPENAI_BASE_URL, else OpenAI's own.",
        scope="machine",
        flag="URL",
        title="Endpoint",
    )
    key_env: str = setting(
        "OPENAI_API_KEY",
        "Name of the environment variable that contains the API key.",
        scope="machine",
        pattern=r"^[A-Z_][A-Z0-9_]{0,63}$",
    )
    fallback: str | None = setting(
        None, "Model to ask when the model of a verb fails.", flag="NAME", scope="run"
    )
    max_usd: float | None = setting(
        None,
        "Stop when models and rented sandboxes have cost this much.",
        scope="task",
        flag="USD",
        unit="USD",
        gt=0,
    )
    max_tokens: int | None = setting(
        None,
        "Stop when the models have read and written this many tokens.",
        scope="task",
        flag="N",
        gt=0,
    )
    temperature: float | None = setting(
        None, "Sent only if set; newer models refuse it.", ge=0, le=2, scope="run"
    )
    reasoning_effort: str | None = setting(
        None,
        "Sent only if set: minimal, low, medium, high, or what the model knows.",
        max_length=20,
        scope="run",
    )
    max_output_tokens: int | None = setting(
        None, "Limit of one answer, sent only if set.", ge=256, scope="run"
    )
    extra_body: dict[str, Any] = setting(
        {},
        "More fields of a request, as JSON, for servers that need them:"
        ' {"provider": {"sort": "price"}}',
        scope="machine",
    )
    stream: bool = setting(
        True,
        "Receive answers as a stream, which keeps proxies from cutting off long ones.",
        scope="run",
    )
    answer_time_s: float = setting(600, "Time limit of one answer.", unit="s", gt=0, scope="run")
    retries: int = setting(
        6,
        "How often a failing request is repeated, with growing pauses.",
        ge=0,
        le=100,
        scope="run",
    )
    backoff_s: float = setting(
        2.0,
        "Pause before the first retry; it doubles each time, up to a minute.",
        unit="s",
        ge=0,
        le=60,
        scope="run",
    )
    max_unanswered: int = setting(
        6,
        "Consecutive steps without a usable answer after which the run pauses, resumable.",
        ge=1,
        scope="run",
    )
    transcripts: bool = setting(
        True,
        "Keep the prompt and the answer of every call in the run folder, for `gome show --calls`"
        " and the report. They quote rows of the task, never a key.",
        scope="run",
    )
    prices: str | None = setting(
        None,
        "YAML file with prices of models; empty: the table included in Gome.",
        scope="machine",
    )
    cache: str | None = setting(
        None,
        "Folder in which answers are stored and looked up, for replays; empty: none.",
        scope="machine",
    )


def models_by_verb(settings: ModelSettings) -> dict[str, str]:
    """Map each verb to its model. Raises ValueError with one sentence for an unusable setting."""
    general = [entry for entry in settings.model if "=" not in entry]
    if len(general) > 1:
        raise ValueError(
            f"--model was given {len(general)} times without a verb ({', '.join(general)});"
            " use verb=model for the others"
        )
    special = dict(entry.split("=", 1) for entry in settings.model if "=" in entry)
    if unknown := sorted(set(special) - {*VERBS, PROBE_VERB, FILE_VERB}):
        raise ValueError(
            f"--model {unknown[0]}={special[unknown[0]]}: no such verb;"
            f" the verbs are {', '.join((*VERBS, PROBE_VERB, FILE_VERB))}"
        )
    if empty := sorted(verb for verb, name in special.items() if not name):
        raise ValueError(f"--model {empty[0]}=: name a model after the equals sign")
    missing = [verb for verb in VERBS if verb not in special]
    if missing and not general:
        raise ValueError(
            f"--model names none for {', '.join(missing)}; add a general one, such as --model gpt-5"
        )
    models = {verb: special.get(verb, general[0] if general else "") for verb in VERBS}
    beside = {PROBE_VERB: models["diagnose"], FILE_VERB: models["draft"]}
    return models | {verb: special.get(verb, model) for verb, model in beside.items()}


def makes_change(settings: ModelSettings) -> bool:
    """Whether a diagnosis is to come with the change for the hypothesis that it would take."""
    if settings.calls == "two":
        return False
    if not settings.model:
        return True
    models = models_by_verb(settings)
    return models["diagnose"] == models["update"]
