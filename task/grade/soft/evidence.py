"""Evidence on predictions finer than labels: calibration, values by fifth, segments, surrogate."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from task.data import segments
from task.grade import evidence, row_errors
from task.grade.compare import cluster_error
from task.grade.predictions import SaidPair, Truth
from task.grade.soft.decode import describe_decoder
from task.types import Evidence, PairedJson, SubmissionCheck, SurrogateStats

Array = NDArray[Any]


def soft_evidence(truth: Truth, said: SaidPair, losses: Array) -> Evidence:
    """Return what probabilities or values tell beyond the labels that are made of them."""
    twin, found = truth.soft_truth, Evidence()
    oof, test = said.oof.flatten(truth), said.test.flatten(truth)
    residuals = row_errors.mean_residual(row_errors.signed_residuals(twin, oof))
    found["segments"] = segments.find_worst_segments(truth.partitions, losses, residuals)
    if twin.metric.needs == "probability":
        found["calibration"] = evidence.calibration_stats(twin.y, oof)
    if fifths := row_errors.fifths_of_predictions(twin, oof):
        found["by_prediction"] = fifths
    distance = evidence.prediction_shift(oof, test)
    found["submission"] = SubmissionCheck(rows_ok=True, test_pred_vs_oof_ks=distance)
    return found


def surrogate_evidence(
    truth: Truth, said: SaidPair, losses: Array, paired: dict[str, PairedJson]
) -> SurrogateStats:
    """Return the surrogate with its error, the decoder, and the differences to the references."""
    assert truth.soft is not None and said.decoder is not None
    found = SurrogateStats(
        name=truth.soft.loss,
        value=float(losses.mean()),
        se=cluster_error(losses, truth.clusters),
        decoder=describe_decoder(said.decoder, truth.form.labels),
    )
    if paired:
        found["paired"] = evidence.pair_evidence(paired)
    return found
