"""Grading of the variants of one script: each as an attempt, and how their luck hangs together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from task.grade import compare
from task.grade.grade import check_plausible, compare_arrays, read_seeds, score_accepted
from task.grade.leaks import find_leaks
from task.grade.predictions import (
    PredictionsError,
    Truth,
    find_losses,
    get_truth,
    read_earlier,
    read_losses,
    read_pair,
)
from task.types import PROMISING_P, LineJson, Prepared, ProblemJson, Reference, VariantJson

Array = NDArray[Any]


class Answers(NamedTuple):
    """The predictions of one variant."""

    oof: Array
    test: Array
    losses: Array | None = None  # by the surrogate; None where its files hold labels


def grade_line(
    prepared: Prepared,
    pairs: dict[str, tuple[str, str]],
    references: dict[str, Reference],
    *,
    seed: int = 0,
    every_gate: bool = False,
) -> LineJson:
    """Grade every pair by the same format checks, scores, comparisons and leak gates.

    The held-back rows are asked about the best alone, when it is graded itself.

    Args:
        prepared: the task.
        pairs: paths of oof and submission by the variant's name, in the order of preference. They
            are artifacts: the same content has the same path.
        references: files of earlier attempts to compare with, by name.
        seed: of the bootstrap.
        every_gate: ask the leak gates about variants that cannot replace a reference, too.
    """
    truth = get_truth(prepared)
    graded: list[VariantJson] = []
    known: dict[tuple[str, str], str] = {}
    answers: dict[str, Answers] = {}
    for name, paths in pairs.items():
        first = known.setdefault((paths[0], paths[1]), name)
        same_as = "" if first == name else first
        variant = VariantJson(name=name, problems=[], score=None, paired={}, same_as=same_as)
        graded.append(variant)
        if not variant["same_as"]:
            try:
                answers[name] = read_answers(truth, name, paths)
                _grade_variant(truth, variant, answers[name], references, seed, every_gate)
            except PredictionsError as error:
                variant["problems"] = [_name_files(error.problem, name)]
    valid = [one for one in graded if one["score"] and not one["problems"]]
    said = [answers[one["name"]] for one in valid]
    links, alike = correlate_luck(truth, [one.oof for one in said], references, seed)
    best = _best_name(truth, valid or graded)
    losses = [one.losses for one in said if one.losses is not None]
    if said and len(losses) == len(said):
        best = valid[int(np.argmin([each.mean() for each in losses]))]["name"]
        links, alike = weaken_links((links, alike), losses, truth, references)
    return LineJson(best=best, variants=graded, links=links, alike=alike)


def weaken_links(
    known: tuple[dict[str, list[float]], float],
    losses: list[Array],
    truth: Truth,
    references: dict[str, Reference],
) -> tuple[dict[str, list[float]], float]:
    """Return the weaker of the links by the metric and by the surrogate, which chose the best.

    Both judge, at one bar; weaker links raise it.
    """
    links, alike = dict(known[0]), known[1]
    for number, (name, item) in enumerate(references.items()):
        before = read_losses(truth, item["oof"])
        if before is None or name not in links:
            continue
        rows = np.stack([before - each for each in losses])
        if truth.clusters is not None:
            rows = np.stack([np.bincount(truth.clusters, weights=row) for row in rows])
        matrix = lower_correlations(rows)
        pairs = zip(sorted(links[name]), sorted(spanning_links(matrix)), strict=True)
        links[name] = [round(min(pair), 4) for pair in pairs]
        if number == 0:
            above = matrix[np.triu_indices(len(losses), 1)]
            alike = min(alike, round(max(0.0, float(above.mean())), 4))
    return links, alike


def read_answers(truth: Truth, name: str, paths: tuple[str, str]) -> Answers:
    """Read a variant's files. Raises PredictionsError."""
    said = read_pair(truth, paths[0], paths[1])
    oof, test = said.decode(truth)
    check_plausible(truth, oof if said.oof.soft is None else said.oof.soft)
    return Answers(oof, test, find_losses(truth, said.oof))


def _grade_variant(
    truth: Truth,
    variant: VariantJson,
    answers: Answers,
    references: dict[str, Reference],
    seed: int,
    every_gate: bool,
) -> None:
    """Add score, comparisons and the leak gates' findings."""
    variant["score"] = score_accepted(truth, answers.oof)
    variant["paired"] = {
        name: compare_arrays(truth, [answers.oof], read_seeds(truth, item), seed)
        for name, item in references.items()
    }
    paired = variant["paired"].values()
    if every_gate or not paired or any(one["p_improved"] >= PROMISING_P for one in paired):
        variant["problems"] = find_leaks(truth, answers.oof)


def _name_files(problem: ProblemJson, name: str) -> ProblemJson:
    """Name the variant's own files in a problem."""
    message = problem["message"]
    if name != "plain":
        for kind in ("oof", "submission"):
            message = message.replace(f"{kind}.csv", f"{kind}-{name}.csv")
    return {**problem, "message": message}


def _best_name(truth: Truth, variants: list[VariantJson]) -> str:
    """The variant of the best score; the first of equal ones, or where none has one."""
    sign = 1.0 if truth.metric.direction == "max" else -1.0
    scores = [sign * one["score"]["value"] if one["score"] else -np.inf for one in variants]
    return variants[int(np.argmax(scores))]["name"]


# ------------------------------------------------------------------------------------------- luck


def correlate_luck(
    truth: Truth, oofs: list[Array], references: dict[str, Reference], seed: int
) -> tuple[dict[str, list[float]], float]:
    """Return how the variants' differences to each reference correlate: links, and their mean.

    Links are those of a spanning tree of the greatest correlations. Every correlation is lowered by
    the error of its estimate; where it cannot be estimated it is zero, which costs most.
    """
    if len(oofs) < 2:
        return {}, 0.0
    links: dict[str, list[float]] = {}
    alike = 0.0
    for number, (name, item) in enumerate(references.items()):
        matrix = correlate_differences(truth, oofs, read_earlier(truth, item["oof"]), seed)
        links[name] = [round(value, 4) for value in spanning_links(matrix)]
        if number == 0:
            above = matrix[np.triu_indices(len(oofs), 1)]
            alike = round(max(0.0, float(above.mean())), 4)
    return links, alike


def correlate_differences(truth: Truth, oofs: list[Array], old: Array, seed: int) -> Array:
    """Return a lower estimate of how several differences to the same predictions correlate."""
    samples = sample_differences(truth, oofs, old, seed)
    return np.eye(len(oofs)) if samples is None else lower_correlations(samples)


def lower_correlations(samples: Array) -> Array:
    """Return a lower estimate of the correlations of several samples."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.corrcoef(samples)
    found = np.nan_to_num(found, nan=0.0)
    error = 1 / np.sqrt(max(1, samples.shape[1] - 3))
    lower = np.tanh(np.arctanh(np.clip(found, -0.9999, 0.9999)) - error)
    np.fill_diagonal(lower, 1.0)
    return np.asarray(lower)


def sample_differences(truth: Truth, oofs: list[Array], old: Array, seed: int) -> Array | None:
    """Return what the differences vary over, (variants, rows or replicates); None: not known.

    Rows of one cluster count as one. A bootstrap draws the same rows for all variants.
    """
    metric, y = truth.metric, truth.scored
    if metric.row_loss is not None:
        before = np.asarray(metric.row_loss(y, old), dtype=float)
        rows = np.stack([before - np.asarray(metric.row_loss(y, oof)) for oof in oofs])
        if truth.clusters is None:
            return rows
        return np.stack([np.bincount(truth.clusters, weights=row) for row in rows])
    if metric.resample == "folds":
        return None
    drawn = [
        compare.bootstrap_differences(metric, y, oof, old, truth.clusters, seed) for oof in oofs
    ]
    n_common = min(map(len, drawn))
    is_same = all(len(one) == n_common for one in drawn)
    return np.stack(drawn) if is_same and n_common > 10 else None


def spanning_links(matrix: Array) -> list[float]:
    """Return the correlations along a spanning tree of the greatest ones (Prim)."""
    best, links = matrix[0].astype(float).copy(), []
    outside = set(range(1, len(matrix)))
    while outside:
        node = max(outside, key=lambda index: best[index])
        links.append(float(best[node]))
        outside.remove(node)
        best = np.maximum(best, matrix[node])
    return links
