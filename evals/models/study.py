"""A study of models: its terms, its cells, and the folder that keeps what was measured.

OUT/terms.json       what all cells share; another command with other terms is refused
OUT/cells/NAME/      one contestant on one task: transcript, submissions, result.json when finished
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reasoner.chat.endpoint.prices import Price
from reasoner.protocol import Usage

CONTESTANTS = ("gome", "aide", "bare")
RESULT, TERMS, LOCK = "result.json", "terms.json", "lock"


class StudyError(Exception):
    """The study cannot go on; the message is one sentence with the remedy."""


class Frozen(BaseModel):
    """Base of what is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(Frozen):
    """What every contestant gets for a task."""

    seconds: float = Field(description="of the whole cell, the model's answers included")
    tokens: int = Field(description="read and written by the model")
    steps: int = Field(description="upper bound of Gome's attempts per trace and AIDE's steps")


class Terms(Frozen):
    """What all cells of a study share."""

    model: str
    endpoint: str = Field(description="without user and password")
    served: str = Field("", description="what serves the model where that is this machine")
    budget: Budget
    settings: dict[str, Any] = Field(default_factory=dict, description="given beside, by name")
    price: Price | None = Field(None, description="dollars per million tokens; None: not known")


class Cell(Frozen):
    """One contestant on one task under one seed."""

    task: str
    contestant: str
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the cell's folder."""
        return f"{self.task}--{self.contestant.replace(':', '-')}--{self.seed}"

    @property
    def agent(self) -> str:
        """The contestant without its preset."""
        return self.contestant.partition(":")[0]

    @property
    def preset(self) -> str:
        """The preset of Gome; empty for its defaults and for the others."""
        return self.contestant.partition(":")[2]


class Point(Frozen):
    """What the contestant would have handed over from then on, by its private score."""

    executions: int
    script_s: float
    seconds: float
    private: float | None = Field(description="None: nothing valid")


class CellResult(Frozen):
    """A finished cell."""

    task: str
    contestant: str
    seed: int
    metric: str
    direction: str
    private: float | None = Field(description="of what was handed over; None: see `failure`")
    failure: str = Field("", description="why nothing was scored")
    sample: float | None = Field(None, description="private score of the task's sample submission")
    end: str = Field(description="why it ended")
    seconds: float
    script_s: float = Field(description="sum over all scripts, or commands of the shell")
    executions: int
    usage: Usage
    curve: list[Point] = Field(default_factory=list)
    is_scripted: bool = Field(False, description="the answers were no model's")
    commit: str = ""
    date: str = ""
    notes: list[str] = Field(default_factory=list)


class Study:
    """The folder of a study."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self.folder, self.terms = folder, terms

    def place(self, cell: Cell) -> Path:
        """Return the folder of a cell."""
        return self.folder / "cells" / cell.name

    def find(self, cell: Cell) -> CellResult | None:
        """Return the result of a cell that is finished. Raises StudyError for a damaged one."""
        return read_result(self.place(cell) / RESULT)

    def begin(self, cell: Cell, *, keeps: bool = False) -> Path:
        """Return the folder of a cell that begins.

        What an interrupted one left stays there if the contestant can go on with it (`keeps`),
        and is set aside otherwise.
        """
        place = self.place(cell)
        if place.exists() and not keeps:
            place.rename(free_name(place))
        place.mkdir(parents=True, exist_ok=True)
        return place

    def finish(self, cell: Cell, result: CellResult) -> None:
        """Store the result; from now on the cell is finished."""
        write_whole(self.place(cell) / RESULT, result.model_dump_json(indent=1))


def free_name(place: Path) -> Path:
    """Return the name under which an interrupted cell is set aside."""
    numbers = (place.with_name(f"{place.name}.unfinished-{n}") for n in range(1, 10_000))
    return next(name for name in numbers if not os.path.lexists(name))


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


def read_result(path: Path) -> CellResult | None:
    """Return a stored result; None where there is no file. Raises StudyError for a damaged one."""
    try:
        return CellResult.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StudyError(f"{path} cannot be read as a result; remove it to run the cell") from error


def read_results(folder: Path) -> list[CellResult]:
    """Return every finished cell of a folder, by name."""
    found = [read_result(path) for path in sorted((folder / "cells").glob(f"*/{RESULT}"))]
    return [result for result in found if result]


def read_terms(folder: Path) -> Terms:
    """Return the stored terms. Raises StudyError."""
    try:
        return Terms.model_validate_json((folder / TERMS).read_bytes())
    except (OSError, ValidationError) as error:
        raise StudyError(f"{folder} holds no study (no {TERMS} that can be read)") from error


@contextmanager
def open_study(folder: Path, terms: Terms) -> Iterator[Study]:
    """Open a study, new or begun, for this process alone. Raises StudyError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyError(f"another process is running the study in {folder}") from error
        yield Study(folder, agree_on_terms(folder, terms))


def agree_on_terms(folder: Path, terms: Terms) -> Terms:
    """Store the terms of a new study; refuse others than those of a study that has begun.

    What serves the model may be said later.
    """
    if (folder / TERMS).exists():
        known = read_terms(folder)
        terms = terms.model_copy(update={"served": terms.served or known.served})
        differing = [
            name
            for name in Terms.model_fields
            if getattr(known, name) != getattr(terms, name) and (name != "served" or known.served)
        ]
        if differing:
            raise StudyError(differing_terms(folder, differing[0], known, terms))
    write_whole(folder / TERMS, terms.model_dump_json(indent=1))
    return terms


def differing_terms(folder: Path, name: str, known: Terms, terms: Terms) -> str:
    """Return why cells under other terms are not added to a study."""
    before, now = (json.dumps(one.model_dump()[name]) for one in (known, terms))
    return (
        f"{folder} was begun with {name} {before}, not {now}: cells are compared under the same"
        " terms; give another folder with --out"
    )
