"""The answer schemas, one per verb: flat, so that any server's structured output supports them.

Answers are parsed leniently (a word for a list, `80%` for 0.8) and converted strictly (`convert`).

Names, docstrings and descriptions of the answer classes are part of the prompt: a model reads them
in the JSON schema, and `prompt_hash` covers them.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from reasoner.protocol import Component, Size

# lenient parsing: what models write for what was asked


def as_text(value: Any) -> str:
    """Return any JSON value as text: lists as lines, objects as JSON, null as nothing."""
    if isinstance(value, list):
        return "\n".join(as_text(item) for item in value[:40])
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def as_list(value: Any) -> Any:
    """Return a list: a single value alone, null and "" as empty."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def list_of_records(key: str) -> BeforeValidator:
    """Return a validator for a list of objects whose main field is `key`.

    It accepts a single object, a mapping of objects, and plain texts in place of objects.
    """

    def parse(value: Any) -> Any:
        is_mapping = isinstance(value, dict) and key not in value
        if is_mapping and all(isinstance(item, dict) for item in value.values()):
            value = list(value.values())
        value = as_list(value)
        if not isinstance(value, list):
            return value
        return [{key: item} if isinstance(item, str) else item for item in value]

    return BeforeValidator(parse)


def as_share(value: Any) -> float:
    """Return a probability within 0.01..0.99; accepts 0.8, "0.8", "80%", 80 and "high"."""
    words = {"low": 0.3, "medium": 0.5, "moderate": 0.5, "high": 0.8}
    text = str(value).strip().lower()
    if text in words:
        return words[text]
    match = re.search(r"-?\d+(?:\.\d+)?", text)
    number = float(match.group()) if match else 0.5
    number = number / 100 if "%" in text or number > 1 else number
    return min(0.99, max(0.01, number))


def as_flag(value: Any) -> Any:
    """Return a text as a boolean; other values unchanged."""
    return value.strip().lower() in ("true", "yes", "1") if isinstance(value, str) else value


def one_of(*options: str, default: str, **also: str) -> BeforeValidator:
    """Return a validator that maps a text to an option.

    Tried in turn: an option itself, a synonym (`also`: word -> option) or an option within the
    text, the default.
    """
    words = also | {option: option for option in options}

    def choose(value: Any) -> str:
        text = as_text(value).strip().lower()
        if text in options:
            return text
        return next((option for word, option in words.items() if word in text), default)

    return BeforeValidator(choose)


Text = Annotated[str, BeforeValidator(as_text)]
Texts = Annotated[list[Text], BeforeValidator(as_list)]
Share = Annotated[float, BeforeValidator(as_share)]
Flag = Annotated[bool, BeforeValidator(as_flag)]
Part = Annotated[
    Component,
    one_of(
        "data",
        "features",
        "model",
        "ensemble",
        "workflow",
        default="model",
        feature="features",
        blend="ensemble",
        stack="ensemble",
    ),
]
Sign = Annotated[
    Literal["better", "none", "worse"],
    one_of("better", "none", "worse", default="better", neutral="none", zero="none"),
]
Magnitude = Annotated[
    Size, one_of("small", "medium", "large", default="small", big="large", moderate="medium")
]
Cost = Annotated[
    Literal["low", "medium", "high"], one_of("low", "medium", "high", default="medium")
]
Action = Annotated[
    Literal["choose", "modify", "create"],
    one_of("choose", "modify", "create", default="choose", new="create", adapt="modify"),
]


SYNONYMS = {
    "script": ("code", "solution", "python", "file", "content"),
    "search": ("find", "old", "original", "before", "old_string"),
    "replace": ("new", "updated", "after", "replacement", "new_string"),
    "edits": ("changes", "diffs"),
    "statement": ("hypothesis", "idea", "description"),
    "challenge": ("cause", "root_cause"),
    "causes": ("root_causes",),
    "text": ("observation", "fact"),
    "cites": ("evidence", "citations"),
}


class VerbAnswer(BaseModel):
    """Base of the answers.

    Its JSON schema is what strict servers demand: no references, no defaults, every field required,
    no other fields.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def normalize_keys(cls, given: Any) -> Any:
        """Unwrap {"answer": {...}}, and map synonymous keys to the fields."""
        if not isinstance(given, dict):
            return given
        fields = cls.model_fields.keys()
        names = fields | {
            other for name, others in SYNONYMS.items() if name in fields for other in others
        }
        inner = [
            value for value in given.values() if isinstance(value, dict) and value.keys() & names
        ]
        if not given.keys() & names and len(inner) == 1:
            given = inner[0]
        synonyms = {
            name: next((given[key] for key in keys if key in given), None)
            for name, keys in SYNONYMS.items()
            if name in fields
        }
        return {name: value for name, value in synonyms.items() if value is not None} | given

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the strict schema."""
        raw = super().model_json_schema(*args, **kwargs)
        return {"title": cls.__name__, **strict_schema(raw, raw.get("$defs", {}))}


def strict_schema(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return pydantic's schema of a node with its references resolved against `defs`."""
    if "$ref" in node:
        inner = strict_schema(defs[node["$ref"].rpartition("/")[2]], defs)
        return inner | ({"description": node["description"]} if "description" in node else {})
    schema: dict[str, Any] = {
        key: node[key] for key in ("type", "description", "enum") if key in node
    }
    if node.get("type") == "object":
        fields = node["properties"].items()
        schema["properties"] = {name: strict_schema(value, defs) for name, value in fields}
        schema["required"] = list(schema["properties"])
        schema["additionalProperties"] = False
    elif node.get("type") == "array":
        schema["items"] = strict_schema(node["items"], defs)
    return schema


class DraftAnswer(VerbAnswer):
    """A first script."""

    approach: Text = Field(
        "",
        description="what in the data decided the choices, and how this differs from"
        " the other traces",
    )
    summary: Text = Field("", description="one line, at most 15 words: what the script is")
    script: Text = Field("", description="the complete Python file")


class ObservationAnswer(VerbAnswer):  # noqa: D101 - its docstring would enter the prompt
    text: Text = Field(description="one fact, with its numbers")
    cites: Texts = Field(default_factory=list)


class HypothesisAnswer(VerbAnswer):  # noqa: D101 - its docstring would enter the prompt
    challenge: Text = Field("", description="the cause that it answers, one sentence")
    statement: Text = Field(description="what to change and why it should help, two sentences")
    component: Part = "model"
    plan: Text = Field("", description="the edit: which lines, which values")
    expected: Sign = Field("better", description="of the score")
    size: Magnitude = "small"
    confidence: Share = Field(0.5, description="0.01-0.99")
    cost: Cost = Field("medium", description="extra running time")
    refuted_by: Text = Field("", description="the result that would show it wrong")
    cites: Texts = Field(default_factory=list)
    claim: Text = Field("", description="mostly empty")
    drops_columns: Texts = Field(default_factory=list, description="mostly empty")


class RevisionAnswer(VerbAnswer):  # noqa: D101 - its docstring would enter the prompt
    id: Text
    claim: Text = Field("", description="in new words, at most 30; empty: as it is")
    merge: Texts = Field(default_factory=list)


class DiagnoseAnswer(VerbAnswer):
    """Observations -> root causes -> hypotheses."""

    observations: Annotated[list[ObservationAnswer], list_of_records("text")] = Field(
        default_factory=list, description="3-8, most telling first"
    )
    causes: Texts = Field(default_factory=list, description="1-4, most important first")
    hypotheses: Annotated[list[HypothesisAnswer], list_of_records("statement")] = Field(
        default_factory=list, description="2-4, best first"
    )
    ledger: Annotated[list[RevisionAnswer], list_of_records("id")] = Field(
        default_factory=list, description="mostly empty"
    )
    probe: Text = Field("", description="mostly empty")


class EditAnswer(VerbAnswer):  # noqa: D101 - its docstring would enter the prompt
    search: Text = Field(description="whole lines, copied exactly")
    replace: Text = ""


class StepAnswer(DiagnoseAnswer):
    """Observations -> root causes -> hypotheses, and the change for one of them."""

    chosen: Text = Field("", description="h1 for the first hypothesis, h2, …")
    take_from: Texts = Field(default_factory=list, description="mostly empty")
    ensemble: Texts = Field(default_factory=list, description="mostly empty")
    remeasure: Text = Field("", description="mostly empty")
    edits: Annotated[list[EditAnswer], list_of_records("search")] = Field(default_factory=list)
    script: Text = Field("", description="empty, or the whole new file")
    summary: Text = Field("", description="at most 15 words: what the script now is")


class UpdateAnswer(VerbAnswer):
    """One hypothesis, turned into a change of the script."""

    action: Action = Field(
        "choose",
        description="choose: a hypothesis as it is; modify: one, changed; create: one of your own",
    )
    chosen: Text = Field("", description="empty for create")
    why: Text = Field("", description="1-3 sentences")
    hypothesis: HypothesisAnswer = Field(
        default_factory=lambda: HypothesisAnswer(statement=""), description="as now acted upon"
    )
    take_from: Texts = Field(default_factory=list, description="mostly empty")
    ensemble: Texts = Field(default_factory=list, description="mostly empty")
    remeasure: Text = Field("", description="mostly empty")
    edits: Annotated[list[EditAnswer], list_of_records("search")] = Field(default_factory=list)
    script: Text = Field("", description="empty, or the whole new file")
    summary: Text = Field("", description="at most 15 words: what the script now is")


class RepairAnswer(VerbAnswer):
    """Why a script failed, and the mended script."""

    cause: Text = Field("", description="why it failed, from the evidence, 1-2 sentences")
    fix: Text = Field("", description="what is changed against it")
    edits: Annotated[list[EditAnswer], list_of_records("search")] = Field(default_factory=list)
    script: Text = Field("", description="empty, or the whole new file")
    summary: Text = Field("", description="at most 15 words: what the script is")


class AppealAnswer(RepairAnswer):
    """A mended script, or an appeal against the held-back rows that refused it."""

    appeal: Texts = Field(default_factory=list, description="mostly empty; instead of a change")


class ReviewAnswer(VerbAnswer):
    """A judgement of the code alone."""

    reasons: Texts = Field(default_factory=list, description="one sentence per finding")
    aligned: Flag = True
    leaks: Flag = False


class ProbeAnswer(VerbAnswer):
    """A look at the data."""

    question: Text = Field("", description="one sentence: what is to be found out, and what for")
    script: Text = Field("", description="the whole Python file; empty: there is nothing to ask")


class FileAnswer(VerbAnswer):
    """A file for the task folder."""

    approach: Text = Field(
        "", description="two or three sentences: what the facts show, and how the file uses it"
    )
    direction: Annotated[
        Literal["max", "min", "none"],
        one_of("max", "min", "none", default="none", higher="max", lower="min"),
    ] = Field("none", description="of a metric: max or min is better; none for a reader")
    script: Text = Field("", description="the whole Python file")
    summary: Text = Field("", description="one line, at most 15 words: what the file does")


SCHEMAS: dict[str, type[VerbAnswer]] = {
    "draft": DraftAnswer,
    "diagnose": DiagnoseAnswer,
    "step": StepAnswer,
    "follow": StepAnswer,  # the same: some servers put the schema before the first message
    "update": UpdateAnswer,
    "repair": RepairAnswer,
    "appeal": AppealAnswer,  # of a script that held-back rows refused while some lack something
    "review": ReviewAnswer,
    "probe": ProbeAnswer,
    "write": FileAnswer,
}
