"""What to do where no reader of Gome finds the labels."""

from __future__ import annotations

from task.types import ReaderNeededError

REMEDY = (
    "write a read.py that reads them (docs/task.md) and set `reader: read.py` in task.yaml, or let "
    "a model write it: `gome init --model NAME`"
)


def need_reader(reason: str, *, otherwise: str = "") -> ReaderNeededError:
    """Return the error of a folder that needs a read.py; `otherwise`: another remedy, told first.

    It alone names that remedy, so that a model is asked wherever it is named.
    """
    return ReaderNeededError(f"{reason}; {f'{otherwise}, or ' if otherwise else ''}{REMEDY}")
