"""Runs a metric file in the sandbox: answers requests about it, one JSON line each way.

This text is what runs there, alone: it imports nothing of ours. Below input/data it finds metric.py
and, for each request, tables or arrays.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

DATA = Path("input/data")


def load_metric() -> ModuleType:
    """Run the metric file and return it as a module."""
    path = DATA / "metric.py"
    module = ModuleType("metric")
    module.__file__ = str(path)
    sys.modules["metric"] = module
    exec(compile(path.read_bytes(), "metric.py", "exec", dont_inherit=True), vars(module))
    if not callable(getattr(module, "score", None)):
        raise TypeError("it has no function score(answers, submission)")
    return module


def takes_tables(function: Callable[..., Any]) -> bool:
    """Whether a function takes answers and submission, as tables."""
    names = list(inspect.signature(function).parameters)[:2]
    return names == ["answers", "submission"]


def describe(module: ModuleType) -> dict[str, Any]:
    """Say what the file declares."""
    if list(inspect.signature(module.score).parameters)[:2] == ["submission", "answers"]:
        raise TypeError("score takes (submission, answers); it should be (answers, submission)")
    return {
        "direction": getattr(module, "direction", None),
        "needs": getattr(module, "needs", None),
        "optimum": getattr(module, "optimum", None),
        "tables": takes_tables(module.score),
        "row_scores": callable(getattr(module, "row_scores", None)),
    }


def read_data(name: str) -> Any:
    """Read a table or an array that the request names."""
    path = DATA / name
    if name.endswith(".parquet"):
        return pd.read_parquet(path)
    if name.endswith(".npy"):
        return np.load(path, allow_pickle=False)
    values = json.loads(path.read_text())
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def answer(module: ModuleType, call: str, one: str = "", two: str = "") -> Any:
    """Answer one request."""
    if call == "describe":
        return describe(module)
    function = module.score if call == "score" else module.row_scores
    value = function(read_data(one), read_data(two))
    if call == "score":
        return float(value)
    return [float(item) for item in np.asarray(value, dtype=float).ravel()]


def main() -> None:
    """Answer until stdin closes; what the metric prints goes nowhere near the replies."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module: ModuleType | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            module = module or load_metric()
            reply["value"] = answer(module, request["call"], **request["arguments"])
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's code raises is told
            reply["error"] = f"{type(error).__name__}: {error}"[:1000]
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
