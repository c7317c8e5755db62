"""Find the metric that a description asks for, with the sentence that names it."""

from __future__ import annotations

import re
from typing import NamedTuple

STRONG_WORDS = (  # the first that a sentence has; specific before general
    (r"quadratic(ally)?[ -]weighted( cohen'?s?)? kappa|weighted kappa|\bqwk\b", "qwk"),
    (
        r"root[ -]mean[ -]squared?[ -](log|logarithmic|logged)\b|\brmsle\b|\brmlse\b"
        r"|rmse\)? (between|of) the (natural )?log|log(arithm)?[^.]{0,20}\brmse\b"
        r"|root[ -]mean[ -]squared?[ -]error[^.]{0,20} (between|of) the (natural )?log",
        "rmsle",
    ),
    (r"\bmcrmse\b|root[ -]mean[ -]squared?[ -](error|deviation)|\brmse\b|\brmsd\b", "rmse"),
    (r"symmetric mean absolute percentage|\bsmape\b", "smape"),
    (r"mean absolute percentage|\bmape\b", "mape"),
    (r"mean absolute (error|deviation)|\bmae\b|average absolute error", "mae"),
    (r"mean squared? error|\bmse\b", "mse"),
    (r"brier", "brier"),
    (
        r"kullback|\bkl[ -]divergence\b",
        "kl_divergence",
    ),
    (
        r"average precision score|area under the (precision|pr\b)|\bpr[ -]auc\b|\bauprc\b"
        r"|precision[ -]recall (auc|curve)",
        "average_precision",
    ),
    (
        r"area under the (roc|receiver|curve)|area under (roc|receiver)|roc[ -_]?auc|\bauc\b"
        r"|\bauroc\b|\bgini\b|receiver operating",
        "auc",
    ),
    (r"log[ _-]?loss|logarithmic loss|cross[ -]entropy|negative log[ -]likelihood", "log_loss"),
    (r"matthews|\bmcc\b|phi coefficient", "mcc"),
    (
        r"balanced[ _-]accuracy|mean (class )?recall|macro[ -]recall|per[ -]class accuracy",
        "balanced_accuracy",
    ),
    (
        r"macro[ -]?(averaged?[ -])?f[ -_]?1|f1?[ _-]?(score )?\(?macro|macro[ -]f[ -]?score"
        r"|f[ -]?1[^.]{0,30}\bmacro|macro[^.]{0,20}\bf[ -]?1",
        "f1_macro",
    ),
    (
        r"micro[ -]?(averaged?[ -])?f[ -_]?1|f[ -]?1[^.]{0,30}\bmicro|micro[^.]{0,20}\bf[ -]?1",
        "f1_micro",
    ),
    (
        r"weighted[ -]?(averaged?[ -])?f[ -_]?1|f[ -]?1[^.]{0,12}\bweighted|f1_weighted",
        "f1_weighted",
    ),
    (r"\bf[ -_]?1\b|\bf[ -]?score\b|\bf-?measure\b|\bdice\b", "f1"),
    (r"jaccard|intersection over union|\biou\b", "jaccard"),
    (r"spearman", "spearman"),
    (r"pearson", "pearson"),
    (
        r"\br2\b|\br\^2\b|r²|\br[ -]squared\b|coefficient of determination|variance explained",
        "r2",
    ),
)
WEAK_WORDS = (
    (r"\b(classification|categori[sz]ation|misclassification) error|error rate", "accuracy"),
    (
        r"\baccuracy\b|\baccurate\b|(share|percentage|proportion) of (right|correct)"
        r"|(correctly|right) (classified|predicted|labelled|labeled)",
        "accuracy",
    ),
)
RANKING_WORDS = re.compile(
    r"\b(?:map|mean average precision|average precision)\s*(?:\(map\)\s*)?(?:@|at)\s*(\d{1,3})\b"
)
RANKING_SHORT = re.compile(r"\bmap@(\d{1,3})\b")
FOREIGN_WORDS = (
    (r"levenshtein|edit distance", "the Levenshtein distance"),
    (r"\bquantile loss|pinball", "the pinball loss"),
    (r"\bf[ -]?(2|0\.5|beta|β)\b", "an F-beta score"),
    (r"concordance index|\bc-index\b", "the concordance index"),
    (r"\bndcg\b|discounted cumulative gain", "the discounted cumulative gain"),
    (r"\bbleu\b|\brouge\b|word error rate", "a score of texts"),
    (r"\bcontinuous ranked probability|\bcrps\b", "the continuous ranked probability score"),
    (r"hausdorff|\bmap at (different|various) intersection", "a score of masks or boxes"),
)
FORMS = re.compile(
    r"\b(weighted (?!f[ -]?1|kappa|averaged? f|average of the f)[\w -]{0,30}(?:error|loss|log ?loss"
    r"|auc|accuracy|mae|rmse|mse|score|average|mean)"
    r"|\bonly (?:on |for |over |where |the )?[\w -]{0,30}"
    r"(?:rows|phase|scored|counted|graded)|(?:per|within|for|by) each [\w-]+ group"
    r"|averaged (?:over|per|by) (?:the )?(?:group|user|customer|store|session|patient)s?)"
)
JUDGING = re.compile(
    r"evaluat|scored?\b|scoring|metric|measure|ranked|judged|graded|assessed|leaderboard|submissions"
)
NEGATIONS = re.compile(r"\b(not|instead of|rather than|unlike|no longer)\b[^,;.]{0,40}$")
SHORT_WORDS = 6  # a sentence so short names nothing else


class MetricWords(NamedTuple):
    """A metric as a description names it."""

    name: str  # of task.grade.metrics; empty: one that is not built in
    sentence: str
    foreign: str = ""  # what is not built in, in words
    form: str = ""  # words of a weighted or grouped form, which the plain metric is not


def read_metric_words(description: str) -> MetricWords | None:
    """Return the metric of the sentence that speaks of evaluation, else of any; None for none."""
    sentences = split_sentences(description)
    judging = [text for text in sentences if JUDGING.search(text.casefold())]
    short = [text for text in sentences if len(text.split()) <= SHORT_WORDS]
    for group, is_weak in ((judging, True), (short, True), (sentences, False)):
        for text in group:
            if found := read_sentence(text, is_weak=is_weak):
                return found
    return None


def split_sentences(text: str) -> list[str]:
    """Return the sentences; a heading goes with the line below it."""
    text = re.sub(r"(?m)^#+ *(.+)$\n*", lambda m: f"{m.group(1).strip()}: ", text)
    text = re.sub(r"[*_`]{1,2}(?=\w)|(?<=\w)[*`]{1,2}", "", text)
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z(\[])|\n\s*\n|\n\s*[-*] ", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def read_sentence(sentence: str, *, is_weak: bool) -> MetricWords | None:
    """Return the metric that a sentence names; the weak words count where `is_weak`."""
    text = sentence.casefold()
    shown = sentence if len(sentence) <= 200 else sentence[:197] + "..."
    for pattern, what in FOREIGN_WORDS:
        if re.search(pattern, text):
            return MetricWords("", shown, foreign=what)
    if match := RANKING_WORDS.search(text) or RANKING_SHORT.search(text):
        return MetricWords(f"map@{int(match.group(1))}", shown)
    for pattern, name in STRONG_WORDS + (WEAK_WORDS if is_weak else ()):
        for match in re.finditer(pattern, text):
            if not NEGATIONS.search(text[: match.start()]):
                form = FORMS.search(text)
                return MetricWords(name, shown, form=form.group(1) if form else "")
    return None
