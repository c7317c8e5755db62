"""The services of a run, made from its settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from graph.settings import Settings
from graph.state import Json
from memory.protocol import Memory
from reasoner.protocol import Reasoner
from sandbox.protocol import Sandbox

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from memory.recipes.shelf import RecipeShelf


def count_slots(settings: Settings) -> int:
    """Return how many scripts run at once; this machine's cores bound only what runs on it."""
    here = os.cpu_count() or 1 if settings.sandbox == "local" else settings.traces
    return settings.slots or max(1, min(settings.traces, here))


def sandbox_for(settings: Settings, folder: Path) -> Sandbox:
    """Return the sandbox that the settings name."""
    from sandbox.factory import create_sandbox

    return create_sandbox(
        settings.sandbox,
        isolation=settings.isolation,
        network=settings.network,
        gpus=settings.gpus,
        run_dir=folder,
        e2b_template=settings.e2b_template,
        e2b_usd_per_hour=settings.e2b_usd_per_hour,
        e2b_life_s=settings.e2b_life_s,
        ray_address=settings.ray_address,
        python=settings.python,
    )


def reasoner_for(settings: Settings, warn: Callable[[str], None]) -> Reasoner:
    """Return the chat reasoner where a model is set, else the expert."""
    if not settings.model:
        from reasoner.expert.engine import Expert

        return Expert(seed=settings.seed)

    from reasoner.chat.engine import build_chat

    return build_chat(settings, warn)


def memory_for(
    settings: Settings,
    run: str,
    warn: Callable[[str], None],
    note_embedding: Callable[[str, str], None],
) -> Memory:
    """Open the success memory that the settings name."""
    from memory.store import open_memory

    return open_memory(
        settings.memory,
        run=run,
        embedding=settings.embedding,
        ranking=settings.ranking,
        evaluation=settings.evaluation,
        on_warning=warn,
        on_embedding=note_embedding,
    )


def shelf_for(settings: Settings, memory: Memory, warn: Callable[[str], None]) -> RecipeShelf:
    """Return the recipes that the settings name, compared by the memory's embedding."""
    from memory.lexical import LexicalEmbedding
    from memory.recipes.library import load_library
    from memory.recipes.shelf import RecipeShelf
    from memory.store import SuccessMemory

    library = load_library(settings.recipes)
    for problem in library.problems:
        warn(f"recipes: {problem}; it is left out")
    embedding = memory.embedding if isinstance(memory, SuccessMemory) else LexicalEmbedding()
    return RecipeShelf(library.recipes, embedding, warn)


def store_for(settings: Settings) -> BaseStore | None:
    """Return the success memory as a LangGraph store; None where it is off."""
    if settings.memory == "off":
        return None
    from memory.langgraph_store import SuccessStore

    return SuccessStore(settings.memory, settings.embedding)


def stream_event(event: Json) -> None:
    """Send an event into the graph's `custom` stream, for Studio and for programs that embed it."""
    from langgraph.config import get_stream_writer

    try:
        writer = get_stream_writer()
    except (RuntimeError, KeyError):  # outside a node: a warning from a thread, or the session
        return
    writer(event)
