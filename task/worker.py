"""The worker process: it calls task functions by name; pandas and scikit-learn are loaded here.

`task.client` holds the other end; `rpc.json_lines` is the protocol.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel

from rpc.json_lines import serve_calls
from task.consent import policy
from task.types import TaskError

REFUSED = "refused"
"""Error kind of a TaskError; its message is for people."""
TRUST, ISOLATION = "--trust", "--isolation="


def call_function(path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call the function at the dotted `path`; models cross the pipe as their JSON."""
    module, _, name = path.rpartition(".")
    function = getattr(import_module(module), name)
    bound = inspect.signature(function).bind(*args, **kwargs)
    hints = get_type_hints(function)
    for parameter, value in bound.arguments.items():
        if inspect.isclass(hint := hints[parameter]) and issubclass(hint, BaseModel):
            bound.arguments[parameter] = hint.model_validate(value)
    answer = function(*bound.args, **bound.kwargs)
    return answer.model_dump() if isinstance(answer, BaseModel) else answer


def main() -> None:
    """Serve until stdin closes, so that the worker ends with its owner, however that ends.

    Arguments: ISOLATION and the tier that a metric file runs in; the run folder whose metric needs
    consent, if any, and TRUST where the user gives it.
    """
    tier, *rest = sys.argv[1:] or [ISOLATION + "auto"]
    policy.isolation = tier.removeprefix(ISOLATION)
    policy.folder = Path(rest[0]) if rest else None
    policy.trust = TRUST in rest[1:]
    warnings.simplefilter("ignore")
    serve_calls({call_function.__name__: call_function}, refusals={TaskError: REFUSED})


if __name__ == "__main__":
    main()
