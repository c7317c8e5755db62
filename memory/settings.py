"""Settings of the success memory."""

from __future__ import annotations

from typing import Literal

from settings.field import SettingsGroup, setting


class MemorySettings(SettingsGroup):
    """The success memory: where it is and how records are recalled."""

    memory: str = setting(
        "~/.gome/memory",
        "Folder of the success memory, http://host:port of a Chroma server, or off.",
        scope="machine",
        flag="PLACE",
    )
    embedding: str = setting(
        "lexical",
        "Embedding of the memory's texts: lexical (offline) or openai:MODEL[@BASE_URL]."
        " Records of different embeddings are never compared.",
        pattern=r"^(lexical|openai:[^@\s]+(@https?://\S+)?)$",
    )
    ranking: Literal["momentum", "similarity", "paper"] = setting(
        "momentum",
        "Ranking of recalled records: momentum (docs/memory.md), plain similarity, or the"
        " published formula.",
        scope="run",
    )
    evaluation: bool = setting(
        False, "Ignore what the memory knows about this very task from earlier runs.", scope="run"
    )
