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
        "auto",
        "Embedding of the memory's texts: auto (MiniLM where its weights are here or can be"
        " fetched, else lexical), lexical (offline), minilm, sentence-transformers:NAME_OR_PATH or"
        " openai:MODEL[@BASE_URL]. Records of different embeddings are never compared.",
        pattern=r"^(auto|lexical|minilm|sentence-transformers:\S.*"
        r"|openai:[^@\s]+(@https?://\S+)?)$",
    )
    recipes: str = setting(
        "~/.gome/recipes",
        "Folder of recipes beside Gome's own (`gome recipes add`), or off: no recipes in prompts.",
        scope="machine",
        flag="PLACE",
    )
    ranking: Literal["momentum", "paper"] = setting(
        "momentum",
        "Ranking of recalled records: momentum (docs/memory.md), or the published formula.",
        scope="run",
    )
    evaluation: bool = setting(
        False, "Ignore what the memory knows about this very task from earlier runs.", scope="run"
    )
