"""The evidence of a script as sentences: every number with its unit, nothing said twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from reasoner.chat.prompt.text import (
    compact_json,
    duration_text,
    key_value_text,
    number_text,
    percent_text,
    se_text,
    short_number,
    signed_text,
    single_line,
)

PathsAndTexts = Iterator[tuple[str, str]]
Reader = Callable[[Any], PathsAndTexts]
N_WORST_TEXTS, N_WORST_ROWS, MAX_CELL_CHARS = 5, 5, 240
N_CLASSES, N_FOLDS, N_SEGMENTS, N_IMPORTANCES, N_TARGETS = 12, 10, 8, 15, 12
N_RELATIONS, N_VARIANTS = 6, 8
N_BLENDED = 6  # members of a blend


def walk_evidence(evidence: dict[str, Any]) -> PathsAndTexts:
    """Yield path and text of each fact: the score first, its explanations, unknown keys last."""
    ranks = {key: index for index, key in enumerate(READERS)}
    for key in sorted(evidence, key=lambda key: ranks.get(key, len(ranks))):
        value = evidence[key]
        if key in READERS:
            if value:
                yield from READERS[key](value)
        elif key not in ("error", "problems"):  # these have sections of their own
            yield key, f"{single_line(key, 40)}: {compact_json(value)}"


def _folds_text(values: list[Any]) -> str:
    """Return the scores of the folds, at most N_FOLDS."""
    more = " …" if len(values) > N_FOLDS else ""
    return " ".join(short_number(value, 4) for value in values[:N_FOLDS]) + more


def _cv_facts(cv: dict[str, Any]) -> PathsAndTexts:
    metric, score = single_line(cv.get("metric"), 80), number_text(cv.get("mean"))
    if cv.get("mean") is not None:
        yield "cv.mean", f"{metric} of all rows pooled: {score} ± {se_text(cv.get('se'))}"
    if cv.get("folds"):
        sd = f", SD {se_text(cv['fold_sd'])}" if cv.get("fold_sd") is not None else ""
        yield "cv.folds", f"per fold: {_folds_text(cv['folds'])}{sd}"
    if cv.get("fold_mean") is not None:
        yield (
            "cv.fold_mean",
            f"mean of the folds {number_text(cv['fold_mean'])} and pooled {score} differ:"
            " predictions of different folds are not on one scale, or the folds differ in kind",
        )


def _train_facts(train: dict[str, Any]) -> PathsAndTexts:
    values = train.get("folds")
    if isinstance(values, list):
        title = "on each fold's training part (by the script)"
        yield "train.folds", f"{title}: {_folds_text(values)}"


OTHERS = {"best": "best before it", "anchor": "last confirmed best", "run": "run's best"}


def _paired_facts(paired: dict[str, Any]) -> PathsAndTexts:
    for name, item in paired.items():
        if not isinstance(item, dict) or item.get("d") is None:
            continue
        other = OTHERS.get(name) or single_line(name, 40)
        gain = f"{signed_text(item['d'])} ± {se_text(item.get('se'))}"
        probability = item.get("p_improved")
        sure = f", p(improved) {probability:.3f}" if isinstance(probability, float) else ""
        yield f"paired.{name}", f"gain over the {other}: {gain}{sure}"


def _line_facts(line: Any) -> PathsAndTexts:
    """The variants of the script in one line, so that a setting can be read against its score."""
    items = [item for item in line if isinstance(item, dict)] if isinstance(line, list) else []
    parts = []
    for item in items[:N_VARIANTS]:
        name = single_line(item.get("name"), 40)
        if problem := item.get("problem"):
            parts.append(f"{name} left out ({single_line(problem, 60)})")
            continue
        gain = f" ({gain_item(item)})" if item.get("gain") is not None else ""
        parts.append(
            f"{name} {number_text(item.get('score'))}{gain}{' BEST' * bool(item.get('best'))}"
        )
    if parts:
        yield "line", f"its variants, score (gain over the best before it): {', '.join(parts)}"


def gain_item(item: dict[str, Any]) -> str:
    """Return a variant's gain with its standard error."""
    return f"{signed_text(item['gain'])} ± {se_text(item.get('se'))}"


def _surrogate_facts(found: dict[str, Any]) -> PathsAndTexts:
    name, decoder = single_line(found.get("name"), 40), single_line(found.get("decoder"), 160)
    value = f"{number_text(found.get('value'))} ± {se_text(found.get('se'))}"
    yield "surrogate.value", f"judged by {name} (lower is better): {value}; labels: {decoder}"
    for path, text in _paired_facts(found.get("paired") or {}):
        yield f"surrogate.{path}", f"by {name}: {text}"


def _relation_facts(relations: dict[str, Any]) -> PathsAndTexts:
    known = [(name, item) for name, item in relations.items() if isinstance(item, dict)]
    if known:
        how = single_line(known[0][1].get("how"), 40)
        yield (
            "relations",
            f"other attempts: score; r, correlation of their {how} with this script's; half,"
            " gain of the mean of both predictions over the better one",
        )
    for name, item in known[:N_RELATIONS]:
        parts = [number_text(item.get("score"))]
        if item.get("alike") is not None:
            parts.append(f"r {number_text(round(item['alike'], 3))}")
        if item.get("half_gain") is not None:
            half = f"{signed_text(item['half_gain'])} ± {se_text(item.get('half_se'))}"
            parts.append(f"half {half}")
        what = single_line(item.get("what"), 70)
        yield f"relations.{name}", f"{single_line(name, 20)} ({what}): {', '.join(parts)}"
        if members := _blended_text(item.get("members")):
            yield f"relations.{name}.members", members


def _blended_text(members: Any) -> str:
    """Members of a blend: weight, score alone and correlation with it; and what it needs."""
    texts = []
    for item in members[:N_BLENDED] if isinstance(members, list) else []:
        if not isinstance(item, dict):
            continue
        parts = [f"{single_line(item.get('name'), 20)} {number_text(item.get('weight'))}"]
        if item.get("score") is not None:
            parts.append(f"alone {number_text(item['score'])}")
        if item.get("alike") is not None:
            parts.append(f"r {number_text(round(item['alike'], 3))}")
        texts.append(" ".join(parts))
    if not texts:
        return ""
    need = "most helps it what is about as good alone and errs elsewhere (a lower r)"
    return f"- its members, by weight; r with the blend: {', '.join(texts)}; {need}"


def _order_facts(order: dict[str, Any]) -> PathsAndTexts:
    tenths = [item for item in order.get("tenths", []) if isinstance(item, dict)]
    if order.get("inverted") is not None:
        yield (
            "order.inverted",
            f"{percent_text(order['inverted'])} of the pairs of a positive and a negative are in"
            f" the wrong order ({number_text(order.get('n_positive'))} positives)",
        )
        rows = (
            ("rate", "share of positives by tenth of the score, lowest first, %"),
            ("positives_lost", "wrong pairs, the share by their positive's tenth (too low), %"),
            ("negatives_lost", "wrong pairs, the share by their negative's tenth (too high), %"),
        )
        for key, title in rows if order["inverted"] else rows[:1]:
            shares = " ".join(_percent_number(item.get(key)) for item in tenths)
            yield f"order.{key}", f"{title}: {shares}"
    if order.get("missed") is not None:
        shares = " ".join(_signed_percent(item.get("bias")) for item in tenths)
        yield (
            "order.missed",
            f"ranks are missed by {percent_text(order['missed'])} of the rows on average; mean of"
            f" true - predicted rank by tenth of the prediction, lowest first: {shares}",
        )


def _percent_number(share: Any) -> str:
    return f"{100 * share:.0f}" if isinstance(share, (int, float)) else "-"


def _signed_percent(share: Any) -> str:
    return f"{share:+.1%}" if isinstance(share, (int, float)) else "-"


def _place_facts(places: dict[str, Any]) -> PathsAndTexts:
    shares = ", ".join(
        f"{single_line(name, 20)} {percent_text(share)}"
        for name, share in list(places.items())[:11]
    )
    yield (
        "places",
        f"where the true class stands in the list of guesses, share of the rows: {shares}",
    )


def _target_facts(targets: dict[str, Any]) -> PathsAndTexts:
    for name, item in list(targets.items())[:N_TARGETS]:
        if not isinstance(item, dict):
            continue
        parts = [f"score {number_text(item['score'])}"] if item.get("score") is not None else []
        parts.append(f"mean of true - predicted {signed_text(item.get('bias') or 0.0)}")
        if item.get("loss_share") is not None:
            parts.append(f"{percent_text(item['loss_share'])} of the squared error of all targets")
        if item.get("correlation") is not None:
            parts.append(f"residuals of the two correlate {number_text(item['correlation'])}")
        yield f"targets.{name}", f"target {single_line(name, 60)} alone: {', '.join(parts)}"
    if len(targets) > N_TARGETS:
        yield "targets", f"and {len(targets) - N_TARGETS} targets with better scores"


def _class_facts(classes: dict[str, Any]) -> PathsAndTexts:
    for label, item in list(classes.items())[:N_CLASSES]:
        name = single_line(label, 40)
        if not isinstance(item, dict):
            yield f"classes.{name}", f"class {name}: {compact_json(item)}"
            continue
        words = (
            ("n", "rows", number_text),
            ("predicted", "predicted as it", number_text),
            ("recall", "recall", percent_text),
            ("precision", "precision", percent_text),
            ("mean_p", "mean probability where it is true", number_text),
            ("auc", "AUC against the others", number_text),
        )
        parts = [
            f"{word} {show(item[key])}" for key, word, show in words if item.get(key) is not None
        ]
        yield f"classes.{name}", f"class {name}: {', '.join(parts)}"
    if len(classes) > N_CLASSES:
        yield "classes", f"and {len(classes) - N_CLASSES} more classes"


def _confusion_facts(pairs: list[dict[str, Any]]) -> PathsAndTexts:
    parts = [
        f"{single_line(item.get('true'), 40)} taken for {single_line(item.get('predicted'), 40)}"
        f" {number_text(item.get('n'))} times"
        for item in pairs[:5]
    ]
    yield "confusions", f"commonest errors: {', '.join(parts)}"


def _residual_facts(value: dict[str, Any]) -> PathsAndTexts:
    known = {key: value[key] for key in value if isinstance(value[key], (int, float))}
    words = (
        ("explained", "R² {}"),
        ("bias", "mean {} SD of the target"),
        ("last_fold_bias", "mean of the last fold {} SD of the target"),
        ("skew", "skew {}"),
        ("hetero", "rank correlation of its size with the prediction {}"),
    )
    parts = [text.format(number_text(known[key])) for key, text in words if key in known]
    if "top_decile_share" in known:
        share = percent_text(known["top_decile_share"])
        parts.append(f"the worst tenth of the rows has {share} of the squared error")
    yield "residuals", f"residuals, true - predicted: {', '.join(parts)}"
    if {"min_pred", "max_pred", "min_y", "max_y"} <= set(known):
        true = f"{number_text(known['min_y'])}..{number_text(known['max_y'])}"
        said = f"{number_text(known['min_pred'])}..{number_text(known['max_pred'])}"
        yield "residuals.max_pred", f"predictions range over {said}, true values over {true}"


def _fifth_facts(fifths: list[dict[str, Any]]) -> PathsAndTexts:
    pairs = [(number_text(item.get("predicted")), number_text(item.get("true"))) for item in fifths]
    title = "mean prediction → mean truth by fifth of the prediction, lowest first"
    parts = ", ".join(f"{predicted} → {true}" for predicted, true in pairs[:5])
    yield "by_prediction", f"{title}: {parts}"


def _calibration_facts(value: dict[str, Any]) -> PathsAndTexts:
    confidence, accuracy = (
        percent_text(value.get("confidence")),
        percent_text(value.get("accuracy")),
    )
    text = f"calibration: mean of the highest probability {confidence}, share right {accuracy}"
    share = value.get("share_p_true_below_01")
    if share is not None:
        text += f"; the true class got less than 1 % in {percent_text(share)} of the rows"
    yield "calibration", text


def _worst_facts(rows: list[dict[str, Any]]) -> PathsAndTexts:
    for index, item in enumerate(rows[:N_WORST_ROWS]):
        values = item.get("values") if isinstance(item.get("values"), dict) else {}
        cells = ", ".join(
            f"{single_line(name, 40)}={single_line(value, MAX_CELL_CHARS)}"
            for name, value in (values or {}).items()
        )
        true, said = single_line(item.get("true"), 60), single_line(item.get("predicted"), 90)
        yield (
            f"worst[{index}]",
            f"row {single_line(item.get('id'), 40)} lost {number_text(item.get('ratio'))} times the"
            f" mean: true {true}, predicted {said}; {cells}",
        )


def _text_facts(value: dict[str, Any]) -> PathsAndTexts:
    plain = {key: item for key, item in value.items() if key != "worst"}
    yield "texts", f"predicted texts (shares of the rows, mean characters): {key_value_text(plain)}"
    for index, item in enumerate(value.get("worst", [])[:N_WORST_TEXTS]):
        true, said = (
            json.dumps(str(item.get(key, "")), ensure_ascii=False) for key in ("true", "predicted")
        )
        text = f"a row that lost most: true {single_line(true, 140)}"
        yield f"texts.worst[{index}]", f"{text}, predicted {single_line(said, 140)}"


def _segment_facts(segments: list[dict[str, Any]]) -> PathsAndTexts:
    """Only segments that are no shadows of worse ones."""
    own = [(index, item) for index, item in enumerate(segments) if not item.get("shadow")]
    for index, item in own[:N_SEGMENTS]:
        where = f"{single_line(item.get('column'), 60)} is {single_line(item.get('value'), 60)}"
        loss = f"mean loss {number_text(item.get('ratio'))} times that of all rows"
        bias = item.get("bias")
        sign = f", true - predicted {signed_text(bias)} on average" if bias is not None else ""
        yield (
            f"segments[{index}]",
            f"{loss} where {where} ({number_text(item.get('n'))} rows){sign}",
        )


def _importance_facts(value: dict[str, Any]) -> PathsAndTexts:
    top = [item for item in value.get("top", []) if isinstance(item, list) and len(item) == 2]
    parts = [f"{single_line(name, 40)} {number_text(weight)}" for name, weight in top]
    text = ", ".join(parts[:N_IMPORTANCES]) or compact_json(value)
    n_zero = value.get("n_zero")
    without = f"; columns without any: {number_text(n_zero)}" if n_zero is not None else ""
    yield "importances.top", f"importances (by the script): {text}{without}"


def _submission_facts(value: dict[str, Any]) -> PathsAndTexts:
    distance = short_number(value.get("test_pred_vs_oof_ks"), 2)
    title = "test predictions against out-of-fold ones"
    yield "submission", f"{title}: Kolmogorov-Smirnov distance {distance} (0..1)"


def _resource_facts(value: dict[str, Any]) -> PathsAndTexts:
    parts = []
    seconds, cpu_s, limit_s = (value.get(key) for key in ("seconds", "cpu_seconds", "limit_s"))
    if isinstance(seconds, (int, float)):
        of = f" of {duration_text(limit_s)}" if isinstance(limit_s, (int, float)) else ""
        parts.append(f"{duration_text(seconds)}{of} wall clock")
    if isinstance(cpu_s, (int, float)):
        parts.append(f"{duration_text(cpu_s)} of CPU time")
    if isinstance(value.get("peak_mb"), (int, float)):
        limit = value.get("limit_mb")
        of = f" of {limit / 1024:.1f} GiB" if isinstance(limit, (int, float)) else ""
        parts.append(f"at most {value['peak_mb']:,.0f} MiB{of} memory")
    if parts:
        yield "resources", f"used: {', '.join(parts)}"


def labelled_reader(key: str, label: str) -> Reader:
    """Return a reader that gives the whole value as one fact."""

    def read(value: Any) -> PathsAndTexts:
        text = key_value_text(value) if isinstance(value, dict) else compact_json(value, 400)
        yield key, f"{label}: {text}"

    return read


READERS: dict[str, Reader] = {
    "cv": _cv_facts,
    "train": _train_facts,
    "paired": _paired_facts,
    "line": _line_facts,
    "surrogate": _surrogate_facts,
    "relations": _relation_facts,
    "order": _order_facts,
    "places": _place_facts,
    "targets": _target_facts,
    "classes": _class_facts,
    "confusions": _confusion_facts,
    "residuals": _residual_facts,
    "by_prediction": _fifth_facts,
    "calibration": _calibration_facts,
    "segments": _segment_facts,
    "worst": _worst_facts,
    "texts": _text_facts,
    "fit": labelled_reader("fit", "fit (by the script)"),
    "importances": _importance_facts,
    "learning_curve": labelled_reader("learning_curve", "learning curve (by the script)"),
    "warnings": labelled_reader("warnings", "warnings in the log, times"),
    "resources": _resource_facts,
    "submission": _submission_facts,
    "notes": labelled_reader("notes", "note of the script"),
}
