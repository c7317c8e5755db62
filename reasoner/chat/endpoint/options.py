"""What the chat reasoner is told: the part of a run's settings that concerns models.  No secret is in it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

VERBS = ("draft", "diagnose", "update", "repair", "review")


class Options(BaseModel):
    """See graph.settings.Settings for what each field means to a user."""

    model_config = ConfigDict(frozen=True)

    model: list[str] = Field(description="`name`, or `verb=name`")
    fallback: str | None = None
    base_url: str | None = None
    key_env: str = "OPENAI_API_KEY"
    temperature: float | None = None
    reasoning_effort: str | None = None
    max_output_tokens: int | None = None
    extra_body: dict[str, Any] = {}
    stream: bool = True
    answer_time_s: float = 600
    retries: int = 5
    backoff_s: float = 1.0
    prices: str | None = None
    cache: str | None = None
    max_usd: float | None = None


def models_by_verb(options: Options) -> dict[str, str]:
    """verb -> model name. Raises ValueError with one clear sentence."""
    general = [entry for entry in options.model if "=" not in entry]
    if len(general) > 1:
        raise ValueError(
            f"--model was given {len(general)} times without a verb ({', '.join(general)}); use verb=model for the others"
        )
    special = dict(entry.split("=", 1) for entry in options.model if "=" in entry)
    if unknown := sorted(set(special) - set(VERBS)):
        raise ValueError(
            f"--model {unknown[0]}={special[unknown[0]]}: no such verb; the verbs are {', '.join(VERBS)}"
        )
    if empty := sorted(verb for verb, name in special.items() if not name):
        raise ValueError(f"--model {empty[0]}=: name a model after the equals sign")
    if not general and (missing := [verb for verb in VERBS if verb not in special]):
        raise ValueError(
            f"--model names none for {', '.join(missing)}; add a general one, such as --model gpt-5"
        )
    return {verb: special.get(verb, general[0] if general else "") for verb in VERBS}
