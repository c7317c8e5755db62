"""The expert's first specs: the cheap strong families for the rows, classes and texts at hand.

Their order was chosen on the tuning half of `evals.suite` (docs/results/suite.md).
"""

from __future__ import annotations

from collections.abc import Mapping

from reasoner.expert.spec import ScriptSpec, TaskFacts
from reasoner.protocol import RecipeVerdict

MIN_CLASSES = 4
FEW_ROWS_OF_CLASS = 100
"""Training rows per class below which scaled linear models are ahead of trees."""
TOO_FEW_ROWS_OF_CLASS = 10
"""Rows per class below which a kernel machine cannot calibrate its probabilities."""
MAX_KERNEL_ROWS = 1500  # of a first draft, which is to be cheap
SHORT_S = 30  # of a script's limit, below which the letters of words take too long
FEW_ROWS = 3000
"""Rows below which boosted trees begin with 8 leaves: with 31 they learn such tables by heart."""


def first_spec(
    facts: TaskFacts, trace: int, earlier: int, measured: Mapping[str, RecipeVerdict] | None = None
) -> ScriptSpec:
    """A modest spec that differs between traces and from the `earlier` drafts of a trace.

    `measured`: verdicts of recipes by move. No harmful family is drafted, and after the first draft
    helpful ones come before the others.
    """
    turn = trace + earlier
    specs = _measured_order(_draft_order(facts), measured or {})
    spec = specs[turn % len(specs)]
    if is_about_text(facts) or facts.media:
        return spec
    if turn >= len(specs):
        spec = spec.with_changes(size=-1)
    return spec.with_changes(date_parts=True) if facts.id in facts.dates else spec


def _draft_order(facts: TaskFacts) -> tuple[ScriptSpec, ...]:
    """Drafts in the order in which traces and redrafts take them."""
    if is_about_text(facts):
        first = ScriptSpec(family="linear")
        if facts.is_classification and has_words(facts):  # letters alone mislead naive Bayes
            is_short = facts.limit_s < SHORT_S
            first = ScriptSpec(family="linear", second="bayes", chars=not is_short)
        return (
            first,
            ScriptSpec(family="hgb"),
            ScriptSpec(family="linear", chars=True),
            ScriptSpec(family="extra"),
        )
    if has_few_rows_per_class(facts):
        is_wide = facts.n_rows >= TOO_FEW_ROWS_OF_CLASS * len(facts.labels)
        second = "svm" if is_wide and facts.n_rows <= MAX_KERNEL_ROWS else None
        first = ScriptSpec(family="linear", second=second)
        return (first, *(ScriptSpec(family=name) for name in ("extra", "hgb", "lgbm")))
    if facts.media:
        return tuple(ScriptSpec(family=name) for name in ("extra", "linear", "hgb", "lgbm"))
    size = -1 if 0 < facts.n_rows < FEW_ROWS else 0
    boosted = (ScriptSpec(family=name, size=size) for name in ("hgb", "lgbm"))
    return (*boosted, *(ScriptSpec(family=name) for name in ("extra", "linear")))


def _measured_order(
    specs: tuple[ScriptSpec, ...], measured: Mapping[str, RecipeVerdict]
) -> tuple[ScriptSpec, ...]:
    """The specs without harmful families (all, where none is left); helpful ones come second."""

    def verdict(spec: ScriptSpec) -> RecipeVerdict | None:
        return measured.get(f"family:{spec.family}")

    first, *rest = [spec for spec in specs if verdict(spec) != "harmful"] or specs
    return (first, *sorted(rest, key=lambda spec: verdict(spec) != "helpful"))


def is_about_text(facts: TaskFacts) -> bool:
    """Whether texts are what the rows are about: words that repeat, or no other columns.

    Names and the like beside a table of other columns are one more column.
    """
    others = {*facts.numeric, *facts.categorical, *facts.dates}
    return has_words(facts) or bool(facts.text and not others)


def has_words(facts: TaskFacts) -> bool:
    """Whether words repeat in some column of text."""
    return bool(set(facts.text) - set(facts.few_words))


def has_few_rows_per_class(facts: TaskFacts) -> bool:
    """Whether there are several classes, and few rows of each on average."""
    n = len(facts.labels)
    return n >= MIN_CLASSES and 0 < facts.n_rows < FEW_ROWS_OF_CLASS * n
