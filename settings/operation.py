"""Settings of operation: where a run is stored and who watches it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import field_serializer, field_validator

from settings.field import SettingsGroup, setting


class OperationSettings(SettingsGroup):
    """Operation: questions to a person, checkpoints, telemetry and the folder of runs."""

    steer: Literal["never", "stuck", "each"] = setting(
        "never",
        "Wait for your answer after a merge: never, when a trace is stuck, or after each.",
        flag="WHEN",
        scope="run",
    )
    checkpoint: str = setting(
        "",
        "postgresql://user@host:port/database; empty: SQLite in the run folder."
        " A password is never stored.",
        scope="machine",
        flag="URL",
    )
    config: str | None = setting(
        None,
        "A task.yaml outside the task's folder, for a folder that is read-only.",
        scope="data",
        flag="PATH",
    )
    otel: bool = setting(
        False,
        "Send OpenTelemetry spans of run, rounds, steps and verbs to"
        " OTEL_EXPORTER_OTLP_ENDPOINT (extra otel).",
        scope="machine",
        flag="",
        title="OpenTelemetry",
    )
    track: Literal["", "mlflow", "wandb"] = setting(
        "",
        "Record the run, its attempts, scores and best/ in an experiment tracker: mlflow or wandb"
        " (extras of these names).",
        scope="machine",
        flag="TRACKER",
        title="Experiment tracker",
    )
    runs_dir: str = setting(
        "runs", "Folder that contains the run folders.", scope="machine", flag="FOLDER"
    )

    @field_validator("config")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        """Find the file again from another folder."""
        return str(Path(path).expanduser().resolve()) if path else None

    @field_serializer("checkpoint")
    def _without_password(self, url: str) -> str:
        """Keep the password out of run.json and of the events."""
        return without_password(url)


def without_password(url: str) -> str:
    """Return the address without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    port = f":{parts.port}" if parts.port else ""
    location = f"{parts.username or ''}@{parts.hostname or ''}{port}"
    return parts._replace(netloc=location).geturl()
