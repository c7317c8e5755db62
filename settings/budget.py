"""Settings of the budget. The caps on dollars and tokens are declared with the model settings."""

from __future__ import annotations

from settings.field import SettingsGroup, setting


class BudgetSettings(SettingsGroup):
    """The budget: how long a run works and when it stops."""

    steps: int = setting(
        8,
        "Attempts per trace, including the draft but not repairs.",
        scope="task",
        flag="N",
        ge=1,
        le=100_000,
    )
    time_s: float = setting(
        3600,
        "Wall time of the whole run, resumed sessions included; 90, 30m or 12h.",
        scope="task",
        flag="TIME",
        unit="s",
        title="Time",
        gt=0,
    )
    max_executions: int | None = setting(
        None,
        "Stop after this many executed scripts, further seeds and those of the finale included. The"
        " fits of what is handed over on all rows are not counted: they bring no score, and without"
        " them the held-back rows would be lost.",
        scope="task",
        ge=1,
    )
    target: float | None = setting(
        None, "Stop when the best score reaches this value.", scope="task"
    )
    draft_share: float = setting(
        0.1, "Largest share of the budget that first drafts may use.", scope="task", ge=0, le=0.9
    )
    finalize_share: float = setting(
        0.1, "Share of time and executions reserved for the finale.", scope="task", ge=0, le=0.5
    )
    probes: int = setting(
        4,
        "Looks at the data by short scripts of a model, whose output it then knows: one before"
        " the first draft, others where a diagnosis asks; at most 5 % of the time. 0: none.",
        scope="task",
        ge=0,
        le=50,
    )
    max_repairs: int = setting(
        2,
        "Repairs of a failed script before the attempt is abandoned.",
        scope="task",
        ge=0,
        le=10,
    )
    max_failures: int = setting(
        6,
        "Consecutive steps without a valid script before a trace is abandoned.",
        scope="task",
        ge=1,
    )
