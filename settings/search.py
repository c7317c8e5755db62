"""Settings of the search: how many traces there are and how they choose their next step."""

from __future__ import annotations

from typing import Any, Literal, get_args

from settings.field import SettingsGroup, setting

PolicyName = Literal["gome", "adaptive", "tree", "mcts", "random"]  # keys of policies.registry

# a tree searches alone
SEARCH = {
    "traces": 1,
    "memory": "off",
    "sharing": False,
    "patience": 1_000,
    "ensemble": False,
    "reuse": False,
    "deal": "turns",
}
BESIDE_POLICY: dict[str, dict[str, Any]] = {
    "gome": {
        "ranking": "paper",
        "traces": 4,
        "ensemble": False,
        "reuse": False,
        "deal": "turns",
    },
    "adaptive": {"ranking": "momentum"},
    "tree": SEARCH,
    "mcts": SEARCH,
    "random": SEARCH,
}
# every policy has a preset of its name
PRESETS: dict[str, dict[str, Any]] = {
    name: {"policy": name, **BESIDE_POLICY.get(name, {})} for name in get_args(PolicyName)
}


class SearchSettings(SettingsGroup):
    """The search: traces, policy and exchange between traces."""

    preset: Literal["", PolicyName] = setting(
        "",
        "Sets several settings at once; an explicitly given setting takes precedence. The published"
        " method, the adaptive policy, AIDE's greedy tree search, UCT, or best of N drafts.",
        flag="NAME",
        scope="run",
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
    remeasure: bool = setting(
        False,
        "In the last fifth of the budget, a step runs the trace's best, and then its rival, under a"
        " second seed where their scores differ by less than noise; a reasoner may choose so at any"
        " time (for scripts that read GOME_SEED).",
        scope="task",
    )
    merge_every: int = setting(
        1,
        "Steps that a trace makes between two merges; with `ahead`, the fewest.",
        scope="task",
        title="Merge every",
        ge=1,
    )
    ahead: int = setting(
        6,
        "Further steps that a trace takes in a round while others still run, instead of waiting for"
        " them at the merge; 0, or steer=each: every trace waits.",
        scope="task",
        ge=0,
        le=1_000,
    )
    deal: Literal["promise", "turns"] = setting(
        "promise",
        "How executions are dealt. promise: several first drafts, of whose lines fewer go on with"
        " every part of the budget used; a trace whose line does not, moves to the best at once."
        " turns: one line per trace, equal turns, and a move only when stuck.",
        scope="task",
    )
    patience: int = setting(
        3,
        "Merges without an accepted attempt after which a trace counts as stuck and is rescued.",
        scope="task",
        ge=1,
    )
    variants: int = setting(
        8,
        "Line search: a script may write up to so many pairs oof-NAME.csv and submission-NAME.csv,"
        " settings of one change; each is graded, the best speaks for it and pays for having been"
        " chosen (docs/trust.md). 0: the plain pair only.",
        scope="task",
        ge=0,
        le=8,
    )
    sharing: bool = setting(
        True,
        "Traces see what the others measured and are running on this task, even without a memory.",
        scope="run",
    )
    ensemble: bool = setting(
        True,
        "Blend the valid solutions of all traces at every merge, as a candidate for the best.",
        scope="task",
    )
    blend_pool: Literal["valid", "accepted"] = setting(
        "valid",
        "What a blend may choose from: every valid attempt, ties and honest rejections included, or"
        " only those that a trace went on from.",
        scope="task",
    )
    reuse: bool = setting(
        True,
        "Scripts may read what valid earlier attempts of all traces predicted and kept, below"
        " `input/attempts/` (docs/script-contract.md). The final fit runs the whole chain.",
        scope="task",
    )
    reuse_attempts: int = setting(
        16,
        "Earlier scripts that one script may build on, those that they build on included.",
        scope="task",
        ge=1,
        le=60,
    )
    keep_bytes: int = setting(
        256 * 2**20,
        "What one script may leave in `keep/` for later ones, 50 files at most; 0: nothing is kept."
        " A run keeps 16 times as much.",
        scope="task",
        ge=0,
        le=2**30,
    )
