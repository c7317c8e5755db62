"""Settings of the search: how many traces there are and how they choose their next step."""

from __future__ import annotations

from typing import Literal

from settings.field import SettingsGroup, setting

PolicyName = Literal["gome", "adaptive", "tree", "mcts", "random"]  # keys of policies.registry


class SearchSettings(SettingsGroup):
    """The search: traces, policy and exchange between traces."""

    preset: Literal["", PolicyName] = setting(
        "",
        "Sets several settings at once; an explicitly given setting takes precedence. The published"
        " method, the adaptive policy, AIDE's greedy tree search, UCT, or best of N drafts.",
        flag="NAME",
    )
    traces: int = setting(
        2,
        "Parallel traces, each with its own best solution and history.",
        scope="task",
        flag="N",
        ge=1,
        le=64,
    )
    policy: PolicyName = setting(
        "gome",
        "Chooses the next step and the solution it starts from (docs/design.md);"
        " gome always follows the gradient.",
        scope="task",
    )
    merge_every: int = setting(
        1, "Steps that a trace makes between two merges.", scope="task", title="Merge every", ge=1
    )
    patience: int = setting(
        3,
        "Merges without an accepted attempt after which a trace counts as stuck and is rescued.",
        scope="task",
        ge=1,
    )
    sharing: bool = setting(
        True,
        "Traces see what the others measured and are running on this task, even without a memory.",
    )
    ensemble: bool = setting(
        True,
        "Blend the accepted solutions of all traces at every merge, as a candidate for the best.",
        scope="task",
    )
