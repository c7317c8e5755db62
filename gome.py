"""Gome, an ML-engineering agent: `gome.solve(task)`, `gome.asolve`, `gome.build_graph()`.

    import gome
    outcome = gome.solve("tasks/modechoice", traces=2, steps=8, time_s="30m")
    outcome = gome.solve(train=train, test=test, target="churned", metric="auc")
    print(outcome.score, outcome.submission)

The `gome` command is in cli/. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

PACKAGES = frozenset(  # of this distribution, at the top level (docs/decisions/0015)
    {"briefs", "cli", "graph", "memory", "nodes", "policies", "reasoner", "report", "rpc"}
    | {"run", "sandbox", "scoring", "session", "settings", "task"}
)


def check_packages() -> None:
    """Refuse to start where a module of the user hides a package of Gome. Raises ImportError."""
    here = Path(__file__).resolve().parent
    for name in sorted(PACKAGES):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else here / name
        if not origin.is_relative_to(here):
            raise ImportError(
                f"{origin} hides Gome's package {name!r}: rename that file, or start the script "
                f"from a folder without it (Gome's packages are {', '.join(sorted(PACKAGES))})"
            )


check_packages()

from session.sync import run_sync  # noqa: E402
from settings.keywords import SETTINGS_TEXT, SettingsKeywords  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd

    from graph.build import Compiled
    from graph.settings import Settings as Settings
    from policies.protocol import Policy
    from reasoner.protocol import ReasonerUnavailableError as ReasonerUnavailableError
    from run.lock import RunError as RunError
    from sandbox.protocol import SandboxUnavailableError as SandboxUnavailableError
    from scoring.acceptance import Acceptance
    from session.session import Outcome as Outcome
    from task.types import TaskError as TaskError

EXPORTS = {
    "Outcome": "session.session",
    "ReasonerUnavailableError": "reasoner.protocol",
    "RunError": "run.lock",
    "SandboxUnavailableError": "sandbox.protocol",
    "Settings": "graph.settings",
    "TaskError": "task.types",
}
__all__ = [
    "Outcome",
    "ReasonerUnavailableError",
    "RunError",
    "SandboxUnavailableError",
    "Settings",
    "TaskError",
    "asolve",
    "build_graph",
    "main",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        return getattr(importlib.import_module(EXPORTS[name]), name)
    raise AttributeError(f"module 'gome' has no attribute {name!r}")


def build_graph(
    checkpointer: Any = None,
    policy: Policy | None = None,
    acceptance: Acceptance | None = None,
    store: Any = None,
) -> Compiled:
    """Build the LangGraph graph, to invoke, stream, draw or embed.

    `await graph.ainvoke({"task": folder}, context=Settings(...))`; its nodes are async.

    Args:
        checkpointer: Makes runs resumable by thread id.
        policy: Replaces the policy that the settings name (policies.protocol.Policy).
        acceptance: Replaces the rule that compares an attempt with its trace's best
            (scoring.acceptance.Acceptance). A difference in the doubt band is still measured again
            before the rule is asked, the audit may still veto what it accepts, and the finale
            chooses by its own rule.
        store: A LangGraph store, as nodes of yours read it; memory.langgraph_store has the
            success memory's.
    """
    from graph.build import build_graph as build

    return build(checkpointer, policy, acceptance, store)


async def asolve(
    task: str | Path = "",
    *,
    train: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    sample_submission: pd.DataFrame | None = None,
    target: str | list[str] | float | None = None,
    metric: str | None = None,
    description: str = "",
    echo: bool = False,
    config: dict[str, Any] | str | Path | None = None,
    policy: str | Policy | None = None,
    acceptance: Acceptance | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Outcome:
    """Solve a task: a folder, or data frames.

    Args:
        task: The task folder; with frames, left out.
        train: Labelled rows.
        test: The rows to predict.
        sample_submission: A submission in the required form, where there is one.
        target: With frames, the label column or columns. A number: stop at this score.
        metric: With frames, the metric's name, or the path of a file with score(y_true, y_pred).
        description: With frames, what a person would say of the task.
        echo: Print a line for each notable event.
        config: {"callbacks": …, "tags": …, "metadata": …} as LangChain takes them; LangSmith
            needs only its environment variables. A path: a task.yaml outside the task's folder.
        policy: The name of a policy (a setting as any other), or a policy of your own
            (policies.protocol.Policy). Your own is stored nowhere: session.resume_run needs it
            again.
        acceptance: A rule of your own (scoring.acceptance.Acceptance; its limits: `build_graph`),
            stored nowhere either.
        **settings: Settings by name; texts are read as on the command line (time_s="5m").

    Raises:
        TaskError: The task cannot be used (a ValueError).
        SandboxUnavailableError: Scripts cannot run here (a RuntimeError).
        ReasonerUnavailableError: No model answers (a RuntimeError).
        pydantic.ValidationError: A setting has no such name or value (a ValueError).
    """
    from session.front import FrontCall, solve_call

    frames = {"train": train, "test": test, "sample_submission": sample_submission}
    about = {"target": target, "metric": metric, "description": description}
    call = FrontCall(task, frames, about, {**settings}, echo, config, policy, acceptance)
    return await solve_call(call)


asolve.__doc__ = f"{asolve.__doc__}\n    Settings:\n{SETTINGS_TEXT}"
solve = run_sync(asolve, "solve")


def main() -> None:
    """Run the `gome` command."""
    from cli.app import run_command_line

    run_command_line()


if __name__ == "__main__":
    main()
