"""Gome: an ML-engineering agent.  The front door: `gome.solve(task)`, `gome.asolve`, `gome.build_graph()`, and the `gome` command.

    import gome
    outcome = gome.solve("tasks/modechoice", traces=2, steps=8)
    print(outcome.score, outcome.submission)

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph.build import Compiled
    from session.session import Outcome

__all__ = ["asolve", "build_graph", "main", "solve"]


def build_graph(checkpointer: Any = None) -> Compiled:
    """The LangGraph graph, to invoke, stream, draw or embed: `await graph.ainvoke({"task": folder}, context=Settings(...))`.

    With a checkpointer its runs can be resumed by thread id. Its nodes are async.
    """
    from graph.build import build_graph as build

    return build(checkpointer)


async def asolve(
    task: str, *, echo: bool = False, config: dict[str, Any] | None = None, **settings: Any
) -> Outcome:
    """Solves a task folder; `settings` are the fields of graph.settings.Settings. Raises TaskError, SandboxUnavailable, ReasonerUnavailable.

    `echo` prints a line for each thing worth knowing while it goes on.
    `config`: {"callbacks": …, "tags": …, "metadata": …} as LangChain takes them; LangSmith needs only its environment variables.
    """
    from graph.settings import Settings
    from report.console import make_listener
    from session.session import start_run

    with make_listener("plain" if echo else "quiet") as listener:
        return await start_run(
            str(task), Settings(**settings), listeners=[listener.on_event], config=config
        )


def solve(
    task: str, *, echo: bool = False, config: dict[str, Any] | None = None, **settings: Any
) -> Outcome:
    """`asolve` for synchronous callers; works inside a notebook's running loop too."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asolve(task, echo=echo, config=config, **settings))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, asolve(task, echo=echo, config=config, **settings)).result()


def main() -> None:
    """The `gome` command."""
    from cli.app import app

    app()


if __name__ == "__main__":
    main()
