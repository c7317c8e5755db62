"""Gome, an ML-engineering agent: `gome.solve(task)`, `gome.asolve`, `gome.build_graph()`.

    import gome
    outcome = gome.solve("tasks/modechoice", traces=2, steps=8)
    print(outcome.score, outcome.submission)

The `gome` command is in cli/. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph.build import Compiled
    from policies.protocol import Policy
    from scoring.acceptance import Acceptance
    from session.session import Outcome

__all__ = ["asolve", "build_graph", "main", "solve"]


def build_graph(
    checkpointer: Any = None, policy: Policy | None = None, acceptance: Acceptance | None = None
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
    """
    from graph.build import build_graph as build

    return build(checkpointer, policy, acceptance)


async def asolve(
    task: str,
    *,
    echo: bool = False,
    config: dict[str, Any] | None = None,
    policy: str | Policy | None = None,
    acceptance: Acceptance | None = None,
    **settings: Any,
) -> Outcome:
    """Solve a task folder.

    Args:
        task: The task folder.
        echo: Print a line for each notable event.
        config: {"callbacks": …, "tags": …, "metadata": …} as LangChain takes them; LangSmith
            needs only its environment variables.
        policy: The name of a policy (a setting as any other), or a policy of your own
            (policies.protocol.Policy). Your own is stored nowhere: session.resume_run needs it
            again.
        acceptance: A rule of your own (scoring.acceptance.Acceptance; its limits: `build_graph`),
            stored nowhere either.
        **settings: Fields of graph.settings.Settings.

    Raises:
        TaskError: The task folder cannot be used.
        SandboxUnavailableError: Scripts cannot run here.
        ReasonerUnavailableError: No model answers.
    """
    from graph.settings import Settings
    from report.console import make_listener
    from session.session import start_run

    own_policy = policy if callable(policy) else None
    if policy is not None and own_policy is None:
        settings["policy"] = policy
    with make_listener("plain" if echo else "quiet") as listener:
        return await start_run(
            str(task),
            Settings(**settings),
            listeners=[listener.on_event],
            policy=own_policy,
            acceptance=acceptance,
            config=config,
        )


def solve(
    task: str,
    *,
    echo: bool = False,
    config: dict[str, Any] | None = None,
    policy: str | Policy | None = None,
    acceptance: Acceptance | None = None,
    **settings: Any,
) -> Outcome:
    """Call `asolve` from synchronous code, also inside a notebook's running loop."""
    import asyncio
    from functools import partial

    work = partial(
        asolve, task, echo=echo, config=config, policy=policy, acceptance=acceptance, **settings
    )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work()).result()


def main() -> None:
    """Run the `gome` command."""
    from cli.app import app

    app(prog_name="gome")


if __name__ == "__main__":
    main()
