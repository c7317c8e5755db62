"""A recipe: one Markdown file with a YAML head, checked field by field.

A file may come from anybody: it is bounded before it is read, its head is plain YAML without
aliases, and its code is text here; only a sandbox runs it.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from memory.recipes.traits import MODALITIES, TRAITS
from memory.records import bounded_code, bounded_text
from reasoner.expert.moves import move_statement
from reasoner.protocol import Component

FILE_BYTES = 16_000
"""Largest recipe file."""
CODE_LINES = 60
MOST = 10**12
"""Bound of rows, columns and classes."""
TaskKind = Literal["binary", "multiclass", "regression", "text"]
Cost = Literal["low", "medium", "high"]
SECTIONS = {"what": 500, "why": 700, "pitfalls": 800, "code": 3_000, "evidence": 6_000}
"""Sections of a file and the characters that each may have."""
WORD = r"^[a-z0-9][a-z0-9_.@-]{0,59}$"
LICENCES = r"^[A-Za-z0-9][A-Za-z0-9 .+()-]{0,59}$"
ID = r"^[a-z0-9][a-z0-9-]{2,59}$"
ID_WORDS = "3 to 60 small letters, digits and dashes"
_HEADING = re.compile(r"## (.+?)[ \t]*")
_FENCE = re.compile(r"\A\s*```(\w*)\n(.*?)\n?```\s*\Z", re.S)
Word = Annotated[str, Field(pattern=WORD)]


class RecipeError(ValueError):
    """A recipe that cannot be used; the sentence names the file and the field."""


class Strict(BaseModel):
    """A value of a recipe: no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(Strict):
    """A closed range; either end may be absent."""

    min: int | None = Field(None, ge=0, le=MOST)
    max: int | None = Field(None, ge=0, le=MOST)

    @model_validator(mode="after")
    def _check_order(self) -> Bounds:
        if self.max is not None and (self.min or 0) > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}, so that nothing fits")
        return self

    def holds(self, value: int) -> bool:
        """Whether the value is within."""
        return (self.min or 0) <= value and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        if self.max is None:
            return f"from {self.min or 0:,}"
        return f"up to {self.max:,}" if not self.min else f"{self.min:,} to {self.max:,}"


class Conditions(Strict):
    """When a recipe applies. Every given key must hold; of a list that says so, one or all."""

    modality: tuple[str, ...] = Field((), description="one of them (memory/recipes/traits.py)")
    task: tuple[TaskKind, ...] = Field((), description="one of them")
    metric: tuple[Word, ...] = Field((), description="one of them, as in docs/task.md")
    rows: Bounds = Field(Bounds(), description="training rows")
    columns: Bounds = Field(Bounds(), description="columns of the training table")
    classes: Bounds = Field(Bounds(), description="classes of the target")
    data: tuple[str, ...] = Field((), description="traits that all hold")
    without: tuple[str, ...] = Field((), description="traits of which none holds")
    gpu: bool = Field(False, description="needs a GPU")
    packages: tuple[Word, ...] = Field((), description="that the scripts' Python needs")

    @model_validator(mode="after")
    def _check_words(self) -> Conditions:
        for word in self.modality:
            if word not in MODALITIES:
                raise ValueError(f"modality {word!r} is not one of {', '.join(MODALITIES)}")
        for word in (*self.data, *self.without):
            if word not in TRAITS:
                raise ValueError(
                    f"{word!r} is no trait of data; `gome recipes traits` lists what is known"
                )
        return self

    def describe(self) -> str:
        """Return the conditions in words, one line."""
        parts = [" or ".join(words) for words in (self.modality, self.task, self.metric) if words]
        for name in ("rows", "columns", "classes"):
            bounds: Bounds = getattr(self, name)
            if bounds != Bounds():
                parts.append(f"{bounds} {name}")
        parts += [TRAITS[word] for word in self.data]
        parts += [f"not: {TRAITS[word]}" for word in self.without]
        parts += [f"package {name}" for name in self.packages]
        return "; ".join([*parts, *(["a GPU"] if self.gpu else [])]) or "any task"


class Head(Strict):
    """The YAML head of a recipe's file."""

    id: str = Field(pattern=ID, description="also the file's name")
    title: str = Field(
        min_length=8,
        max_length=90,
        pattern=r"^[^\n\r]+$",
        description="may be absent where `move` says what to do in the expert's words",
    )
    version: int = Field(1, ge=1, le=9_999)
    licence: str = Field("MIT", pattern=LICENCES, description="SPDX name")
    author: str = Field("", max_length=120)
    component: Component
    cost: Cost = Field("low", description="of one run of the script, beside the plain one")
    when: Conditions
    causes: tuple[Annotated[str, Field(min_length=8, max_length=200)], ...] = Field(
        min_length=1, max_length=4, description="what a diagnosis would say where this helps"
    )
    move: str | None = Field(
        None, max_length=60, description="the expert's move that does the same"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_title_of_move(cls, value: Any) -> Any:
        """A recipe that is a move has the move's words for a title (decision 0044)."""
        if not isinstance(value, dict) or "title" in value:
            return value
        words = move_statement(str(value.get("move")))
        return {**value, "title": words[0].upper() + words[1:]} if words else value


class Recipe(Head):
    """A recipe as it was read; `evidence` is the text of its last section, unchecked."""

    what: str
    why: str
    pitfalls: str
    code: str
    evidence: str = ""
    source: str = Field("", description="folder that it comes from; empty: Gome's own")

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.id}.md"


@lru_cache(maxsize=1000)
def parse_recipe(text: str | bytes, file: str, source: str = "") -> Recipe:
    """Return the recipe in a file's text. Raises RecipeError."""
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > FILE_BYTES:
        raise RecipeError(f"{file}: is longer than {FILE_BYTES:,} bytes; a recipe is one idea")
    try:
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(f"{file}: is not UTF-8 text") from None
    head, body = _split_head(decoded.replace("\r\n", "\n"), file)
    sections = _read_sections(body, file)
    try:
        recipe = Recipe.model_validate({**_load_yaml(head, file), **sections, "source": source})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "head"
        raise RecipeError(bounded_text(f"{file}: {field}: {_say_invalid(first)}", 400)) from None
    if file.rpartition("/")[2] != recipe.name:
        raise RecipeError(f"{file}: id: is {recipe.id!r}, so the file's name must be {recipe.name}")
    _check_code(recipe.code, file)
    return recipe


def _say_invalid(error: ErrorDetails) -> str:
    """Return what is wrong with a field, and what would be right."""
    if error["type"] == "extra_forbidden":
        model = Conditions if "when" in error["loc"] else Head
        return f"is not known; the keys are {', '.join(model.model_fields)}"
    if error["type"] == "string_type":
        return "must be text; write it in quotes"
    if error["loc"] == ("id",):
        return f"must be {ID_WORDS}"
    return error["msg"].removeprefix("Value error, ")


def _split_head(text: str, file: str) -> tuple[str, str]:
    match = re.match(r"\A---\n(.*?)\n---\n(.*)\Z", text, re.S)
    if match is None:
        raise RecipeError(f"{file}: head: the file must begin with YAML between two lines of `---`")
    return match.group(1), match.group(2)


def _read_sections(body: str, file: str) -> dict[str, str]:
    """Return the sections by name, bounded; the code without its fence."""
    (_, before), *parts = _split_sections(body)
    if before.strip():
        raise RecipeError(f"{file}: text stands before the first heading `## What`")
    sections: dict[str, str] = {}
    for heading, content in parts:
        name = heading.lower()
        if name not in SECTIONS or name in sections:
            expected = ", ".join(key.capitalize() for key in SECTIONS)
            raise RecipeError(f"{file}: {heading[:40]}: the headings are {expected}, each once")
        if len(content.strip()) > SECTIONS[name]:
            raise RecipeError(f"{file}: {name}: has more than {SECTIONS[name]} characters")
        sections[name] = content.strip()
    for name in ("what", "why", "pitfalls", "code"):
        if not sections.get(name):
            heading = f"## {name.capitalize()}"
            raise RecipeError(f"{file}: {name}: is missing; write it under `{heading}`")
    for name in ("what", "why", "pitfalls"):
        sections[name] = bounded_text(sections[name], SECTIONS[name])
    match = _FENCE.match(sections["code"])
    if match is None or match.group(1) != "python":
        raise RecipeError(f"{file}: code: must be one block between ```python and ```")
    sections["code"] = bounded_code(match.group(2), SECTIONS["code"])
    return sections


def _split_sections(body: str) -> list[tuple[str, str]]:
    """Return headings with the text below them, the first one empty; none within a fence."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    is_fenced = False
    for line in body.split("\n"):
        is_fenced ^= line.startswith("```")
        match = None if is_fenced else _HEADING.fullmatch(line)
        if match:
            sections.append((match.group(1), []))
        else:
            sections[-1][1].append(line)
    return [(heading, "\n".join(lines)) for heading, lines in sections]


def replace_evidence(text: str, evidence: str) -> str:
    """Return a recipe's file with this as its last section, in place of any earlier one."""
    head, body = _split_head(text.removeprefix("\ufeff").replace("\r\n", "\n"), "recipe")
    kept = [part for part in _split_sections(body) if part[0].lower() != "evidence"]
    sections = "\n".join(f"## {heading}\n{content}" for heading, content in kept[1:]).rstrip()
    return f"---\n{head}\n---\n{sections}\n\n## Evidence\n{evidence}"


class _PlainLoader(yaml.SafeLoader):
    """Plain YAML: no aliases, which can grow without bound, no tags, and no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError("tags such as !!int are not read; write plain values")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"the key {str(twice[0])[:40]!r} stands twice")
        return super().construct_mapping(node, deep=True)


def load_plain_yaml(text: str) -> Any:
    """Return the value of a bounded text. Raises ValueError with the reason."""
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem or 'it cannot be read'}{place}") from None
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


def _load_yaml(text: str, file: str) -> dict[str, Any]:
    try:
        value = load_plain_yaml(text)
    except ValueError as error:
        raise RecipeError(bounded_text(f"{file}: head: {error}", 400)) from None
    if not isinstance(value, dict):
        raise RecipeError(f"{file}: head: must be keys with values")
    reserved = sorted(key for key in value if key in (*SECTIONS, "source"))
    if reserved:
        raise RecipeError(f"{file}: {reserved[0]}: is no key of the head but a section")
    return {str(key): item for key, item in value.items()}


def _check_code(code: str, file: str) -> None:
    """Refuse code that does not compile; nothing of it is run."""
    if code.count("\n") >= CODE_LINES:
        raise RecipeError(f"{file}: code: has more than {CODE_LINES} lines")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        place = f" in line {line}" if line else ""
        raise RecipeError(f"{file}: code: does not compile{place}") from None
