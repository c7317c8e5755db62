"""Panels of best/plots.json (see `task.grade.plots`), each field checked, for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from report.artifact_texts import parse_json, read_json, read_text
from report.formatting import as_mapping, bounded_list, clean_text, finite_number
from report.model import RunView

Panel = dict[str, object]
MAX_PANELS = 4
MAX_SIZE = 64  # of a matrix
MAX_BARS = 30
MAX_IMPORTANCES = 20


def load_panels(view: RunView, run_dir: Path) -> list[Panel]:
    """Return the panels of the best attempt; empty where the file belongs to another one."""
    stored = parse_json(read_text(run_dir / "best" / "plots.json", 4 * 2**20))
    if not view.best or stored.get("attempt") != view.best:
        return []
    found = map(as_mapping, bounded_list(stored.get("panels"), MAX_PANELS))
    panels = (PARSERS.get(str(panel.get("kind")), _parse_nothing)(panel) for panel in found)
    return [panel for panel in panels if panel is not None]


def load_importances(view: RunView, run_dir: Path) -> list[tuple[str, float]]:
    """Return (name, importance) as the best script told them, the largest first."""
    best = view.best_attempt
    if best is None:
        return []
    told = as_mapping(read_json(run_dir, best.evidence).get("importances"))
    pairs: list[tuple[object, object]] = [(name, value) for name, value in told.items()]
    for rows in told.values():  # the contract's form is {"top": [[name, value], …]}
        for row in bounded_list(rows, 200):
            if isinstance(row, list) and len(row) == 2:
                pairs.append((row[0], row[1]))
    numbers = [(clean_text(name, 60), finite_number(value)) for name, value in pairs]
    known = {name: value for name, value in numbers if value is not None and name}
    return sorted(known.items(), key=lambda item: -abs(item[1]))[:MAX_IMPORTANCES]


def _parse_nothing(panel: Mapping[str, object]) -> Panel | None:
    return None


def parse_binary(panel: Mapping[str, object]) -> Panel | None:
    """Check a panel of two classes; None where it cannot be drawn."""
    groups = number_rows(panel.get("groups"), 2)
    n = sum(row[0] for row in groups)
    n_positive = sum(row[1] for row in groups)
    if any(not 0 <= row[1] <= row[0] for row in groups) or not 0 < n_positive < n:
        return None
    return _describe_panel(panel) | {
        "positive": clean_text(panel.get("positive"), 60),
        "auc": finite_number(panel.get("auc")),
        "averagePrecision": finite_number(panel.get("average_precision")),
        "groups": groups,
        "calibration": number_rows(panel.get("calibration"), 3),
    }


def parse_classes(panel: Mapping[str, object]) -> Panel | None:
    """Check a panel of predicted classes; None where it cannot be drawn."""
    labels = [clean_text(label, 40) for label in bounded_list(panel.get("labels"), MAX_SIZE)]
    matrix = number_rows(panel.get("matrix"), len(labels))
    if not labels or len(matrix) != len(labels) or any(min(row) < 0 for row in matrix):
        return None
    bars: list[dict[str, object]] = []
    for bar in map(as_mapping, bounded_list(panel.get("bars"), MAX_BARS)):
        numbers = {name: finite_number(bar.get(name)) for name in ("n", "recall", "precision")}
        if None not in numbers.values():
            bars.append({"label": clean_text(bar.get("label"), 40), **numbers})
    return _describe_panel(panel) | {
        "accuracy": finite_number(panel.get("accuracy")),
        "labels": labels,
        "matrix": matrix,
        "joined": finite_number(panel.get("n_joined")),
        "bars": bars,
        "more": finite_number(panel.get("n_more")),
    }


def parse_regression(panel: Mapping[str, object]) -> Panel | None:
    """Check a panel of predicted values; None where it cannot be drawn."""
    edges, residual_edges = number_row(panel.get("edges")), number_row(panel.get("residual_edges"))
    counts = number_rows(panel.get("counts"), len(edges) - 1)
    residuals = number_row(panel.get("residuals"))
    fits = len(counts) == len(edges) - 1 and len(residuals) == len(residual_edges) - 1
    if not fits or not residuals or edges != sorted(edges) or edges[0] == edges[-1]:
        return None
    return _describe_panel(panel) | {
        "r2": finite_number(panel.get("r2")),
        "log": panel.get("scale") == "log",
        "edges": edges,
        "counts": counts,
        "residualEdges": residual_edges,
        "residuals": residuals,
        "bands": number_rows(panel.get("bands"), 5),
    }


PARSERS: dict[str, Callable[[Mapping[str, object]], Panel | None]] = {
    "binary": parse_binary,
    "classes": parse_classes,
    "regression": parse_regression,
}


def _describe_panel(panel: Mapping[str, object]) -> Panel:
    return {
        "kind": clean_text(panel.get("kind"), 20),
        "target": clean_text(panel.get("target"), 60),
        "n": finite_number(panel.get("n")),
    }


def number_row(value: object, n: int = 0) -> list[float]:
    """Return a list of finite numbers (of length n, if given); empty for anything else."""
    numbers = [finite_number(item) for item in bounded_list(value, MAX_SIZE)]
    known = [number for number in numbers if number is not None]
    return known if len(known) == len(numbers) and (not n or len(known) == n) else []


def number_rows(value: object, n: int) -> list[list[float]]:
    """Return rows of n finite numbers; empty where one is anything else."""
    rows = [number_row(row, n) for row in bounded_list(value, MAX_SIZE)] if n > 0 else []
    return rows if all(rows) else []
