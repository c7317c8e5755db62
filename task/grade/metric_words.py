"""Find the metric that a description asks for, with the sentence that names it."""

from __future__ import annotations

import html
import re
from typing import NamedTuple, TypedDict

from task.types import Direction

FRAME_WORDS = (  # metrics of texts, lists, masks and boxes, and over tables; read first
    (r"kendall'?s?[ -]tau|kendall (rank )?correlation", "kendall_tau"),
    (
        r"normali[sz]ed (levenshtein|edit)|(levenshtein|edit) (distance|ratio),? normali[sz]ed",
        "normalized_levenshtein",
    ),
    (
        r"(levenshtein|edit)[ -]distance[^.]{0,40}(over|by|per) the (total )?(number|count)"
        r"|\bword error rate\b|\bwer\b",
        "edit_distance",
    ),
    (r"\bcharacter error rate\b|\bcer\b", "character_error_rate"),
    (r"levenshtein|edit[ -]distance", "levenshtein"),
    (r"word[ -]level jaccard|jaccard[^.]{0,30}\bwords?\b", "word_jaccard"),
    (r"word[ -]level accuracy", "word_accuracy"),
    (r"\blwlrap\b|label[ -]ranking average precision", "lwlrap"),
    (
        r"precision over thresholds[^.]{0,40}(volume|3d)|3d[^.]{0,60}intersection over union",
        "map_of_iou_3d",
    ),
    (
        r"(average |mean )?precision (over|at|across) (the |different |various |several )?"
        r"(iou |intersection[ -]over[ -]union )?(\(iou\) )?thresholds?[^.]{0,60}"
        r"(intersection|\biou\b|masks?|segment)",
        "map_of_iou",
    ),
    (
        r"(mean average precision|\bmap\b)[^.]{0,30}\bbox(es)?\b"
        r"|(mean average precision|\bmap\b)\W{1,3}(at|@) (an )?iou\b(?! thresholds)"
        r"|\bbox(es)?\b[^.]{0,40}(mean average precision|\bmap\b)",
        "map_boxes",
    ),
    (r"f[ -]?1[^.]{0,30}(matched )?(characters|boxes|points)", "boxes_f1"),
    (
        r"global dice|(?<!mean )(?<!average )\bdice[^.]{0,40}(over all|of all (the )?(pixels|cells)"
        r"|pooled|together|whole (test )?set|globally)",
        "dice_global",
    ),
    (
        r"micro[^.]{0,12}\bf[ -]?1[^.]{0,24}\b(tags|keywords|labels?[ -]sets?)"
        r"|f[ -]?1[^.]{0,12}\b(of|over) (the )?(tags|keywords|labels?[ -]sets?)",
        "tags_f1_micro",
    ),
    (
        r"angular error|mean angle between|angle between (the )?(true|predicted)",
        "mean_angular_error",
    ),
    (
        r"(mixture|combination|average) of (the )?(overall )?aucs?\b"
        r"[^.]{0,60}(group|identit|overall)|bias aucs?|subgroup auc",
        "bias_auc",
    ),
    (
        r"percentiles?[^.]{0,30}(distance|position) error"
        r"|(distance|position) errors?[^.]{0,40}percentile",
        "distance_percentiles",
    ),
    (r"laplace log[ -]likelihood", "laplace_log_likelihood"),
    (
        r"weighted[ -](multi[ -]?label )?(binary )?"
        r"(log[ -]?loss|logarithmic loss|cross[ -]entropy)",
        "weighted_log_loss",
    ),
    (r"log(arithm)? of the (mean absolute error|mae\b)|log[ -]mae", "log_mae"),
)
STRONG_WORDS = (  # the first that a sentence has; specific before general
    (r"quadratic(ally)?[ -]weighted( cohen'?s?)? kappa|weighted kappa|\bqwk\b", "qwk"),
    (
        r"root[ -]mean[ -]squared?[ -](log|logarithmic|logged)\b|\brmsle\b|\brmlse\b|\bmsle\b"
        r"|mean[ -]squared?[ -](log|logarithmic|logged)\b"
        r"|rmse\)? (between|of|on|over) (the )?(natural )?log|log(arithm)?[^.]{0,20}\brmse\b"
        r"|root[ -]mean[ -]squared?[ -]error[^.]{0,20} (between|of) the (natural )?log",
        "rmsle",
    ),
    (r"probabilistic f[ -]?(1|score|measure)|\bpf1\b", "probabilistic_f1"),
    (r"\bmcrmse\b|root[ -]mean[ -]squared?[ -](error|deviation)|\brmse\b|\brmsd\b", "rmse"),
    (r"symmetric mean absolute percentage|\bsmape\b", "smape"),
    (r"mean absolute percentage|\bmape\b", "mape"),
    (r"mean absolute (error|deviation)|\bmae\b|average absolute error|\bl1[ -]loss\b", "mae"),
    (r"mean squared? error|\bmse\b", "mse"),
    (r"brier", "brier"),
    (
        r"kullback|\bkl[ -]divergence\b",
        "kl_divergence",
    ),
    (
        r"average precision score|(?<!mean )average precision(?! *(@|at\b|\(map))"
        r"|area under the (precision|pr\b)|\bpr[ -]auc\b|\bauprc\b"
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
    (
        r"\b(classification|categori[sz]ation|misclassification) (error|rate)|error rate"
        r"|hamming loss|\b(zero|0)[ -/]?(one|1) loss",
        "accuracy",
    ),
    (
        r"\baccuracy\b|\baccurate\b|(share|percentage|proportion) of (right|correct|wrong)"
        r"|\btop[ -]?(1|one)\b[ -](error|accuracy)"
        r"|(correctly|right) (classified|predicted|labelled|labeled)"
        r"|(share|percentage|proportion) of [\w ]{1,40} (correctly|right)\b",
        "accuracy",
    ),
)
RANKING_WORDS = re.compile(
    r"\b(?:map|mean average precision|average precision)\s*(?:\(map\)\s*)?(?:@|at)\s*(\d{1,3})\b"
)
RANKING_SHORT = re.compile(r"\bmap@(\d{1,3})\b")
FOREIGN_WORDS = (
    (r"\bquantile loss|pinball", "the pinball loss"),
    (r"\bf[ -]?(2|0\.5|beta|β)\b", "an F-beta score"),
    (r"concordance index|\bc-index\b", "the concordance index"),
    (r"\bndcg\b|discounted cumulative gain", "the discounted cumulative gain"),
    (r"\bbleu\b|\brouge\b|\bmeteor\b|\bcider\b", "a score of texts"),
    (r"\bcontinuous ranked probability|\bcrps\b", "the continuous ranked probability score"),
    (r"hausdorff|panoptic quality", "a score of masks or boxes"),
    (r"\bcoco\b[^.]{0,40}(map|average precision)", "the mean average precision of COCO"),
    (r"weighted[ -](auc|area under)", "a weighted AUC"),
    (r"\bpartial auc|\bauc (above|below|between|at)\b|default rate captured", "a form of the AUC"),
    (r"\btop[ -]?(?!1\b)\d+ (error|accuracy)", "the error of the best K guesses"),
)
LATE_FOREIGN_WORDS = (  # where no sentence names a metric that is built in
    (r"median absolute error|\bmedae\b", "the median absolute error"),
    (r"\bmax(imum|imal)?[ -]error", "the maximum error"),
    (r"\bwape\b|\bwmape\b|weighted (mean )?absolute percentage", "a weighted percentage error"),
    (r"\brmspe\b|square[d]? percentage error", "the root mean squared percentage error"),
    (r"explained variance", "the explained variance"),
    (r"\bmase\b|absolute scaled error|\brmsse\b|squared scaled error", "a scaled error"),
    (r"concordance correlation", "the concordance correlation"),
    (r"(poisson|gamma|tweedie)[ -](deviance|loss)", "a deviance"),
    (r"\bhuber\b|log[ -]?cosh", "a robust loss"),
    (r"\bkappa\b", "a kappa without quadratic weights"),
    (r"kolmogorov|\bks[ -](statistic|score|test)", "the Kolmogorov-Smirnov statistic"),
    (r"\bhinge\b", "the hinge loss"),
    (r"\bsensitivity\b|\bspecificity\b|\brecall\b|\bprecision\b", "precision or recall"),
    (r"\blift\b|\bdeciles?\b", "the lift"),
    (r"geometric mean|\bg-mean\b", "a geometric mean"),
    (r"\b(costs?|profits?|penalt(y|ies))\b", "a cost of its own"),
    (r"\bmean average precision\b|\bmap\b", "a mean average precision"),
    (r"\bwinkler\b|interval score|\bcoverage\b", "a score of intervals"),
)
PAST_WORDS = re.compile(
    r"\b(last year|previous(ly)?|earlier (edition|round|year)s?|formerly|used to be)\b"
)
BETTER_WORDS: dict[Direction, str] = {
    "max": r"\b(higher|larger|greater|bigger)( \w+){0,3} (is|are|means?) better|maximi[sz]",
    "min": r"\b(lower|smaller|less)( \w+){0,3} (is|are|means?) better|minimi[sz]",
}
NATURE_WORDS: dict[Direction, str] = {
    "max": r"accuracy|correlation|\bauc\b|f[ -]?\d?[ -]?score|overlap|jaccard|dice|\bprecision\b"
    r"|similarity|kappa|\bbleu\b|\bndcg\b|cumulative gain|\bgain\b",
    "min": r"\berrors?\b|\bloss|distance|divergence|deviation|\bcrps\b|\brmse\b|\bmae\b",
}
FORMS = re.compile(
    r"\b(weighted (?!f[ -]?1|kappa|averaged? f|average of the f)[\w -]{0,30}(?:error|loss|log ?loss"
    r"|auc|accuracy|mae|rmse|mse|score|average|mean)"
    r"|\bonly (?:on |for |over |where |the )?[\w -]{0,30}"
    r"(?:rows|phase|scored|counted|graded)|(?:per|within|for|by) each [\w-]+ group"
    r"|averaged (?:over|per|by) (?:the )?(?:group|user|customer|store|session|patient)s?)"
)
ONLY_SCORED = re.compile(
    r"\bonly\b[^.]{0,60}\b(is|are) (scored|evaluated|counted)\b", re.IGNORECASE
)
JUDGING = re.compile(
    r"evaluat|scored?\b|scoring|metric|measure|ranked|judged|graded|assessed|leaderboard|submissions"
)
CONDITION_WORDS = re.compile(
    r"\b([A-Za-z_]\w*)\s*(?:is|=|==|equals)\s*['\"`]?([A-Za-z0-9_.+-]*[A-Za-z0-9_])"
)
GROUP_WORDS = re.compile(
    r"\b(?:per|(?:for|in|of|within|by|across|over) (?:each|every|all(?: the)?|the)?)"
    r" ?([A-Za-z_]\w*)"
    r"(?=(?: ([A-Za-z_]\w*))?)"
)
OVERLAP = re.compile(
    r"(?:overlap|iou|intersection over union)[^.0-9]{0,30}(0?\.\d+)", re.IGNORECASE
)
BETA = re.compile(r"\bf[ -]?(0?\.\d{1,2}|[2-9])\b(?![.%]\d)")  # F1 has names of its own
MASKS = re.compile(r"\bdice\b|\bmasks?\b|\bpixels?\b|segmentation")
NEGATIONS = re.compile(r"\b(not|instead of|rather than|unlike|no longer)\b[^,;.]{0,40}$")
SHORT_WORDS = 6  # a sentence so short names nothing else


class MetricWords(NamedTuple):
    """A metric as a description names it."""

    name: str  # of task.grade.metrics; empty: one that is not built in
    sentence: str
    foreign: str = ""  # what is not built in, in words
    form: str = ""  # words of a weighted or grouped form, which the plain metric is not
    conditions: tuple[tuple[str, str], ...] = ()  # (column, value) that the sentence may mean
    groups: tuple[str, ...] = ()  # words that may name a column whose groups are averaged
    overlap: str = ""  # of boxes that are found
    others: tuple[str, ...] = ()  # other metrics that sentences on evaluation name


def read_metric_words(description: str) -> MetricWords | None:
    """Return the metric of the sentence that speaks of evaluation, else of any; None for none."""
    sentences = split_sentences(description)
    judging = [text for text in sentences if JUDGING.search(text.casefold())]
    judging.sort(key=lambda text: bool(PAST_WORDS.search(text.casefold())))
    short = [text for text in sentences if len(text.split()) <= SHORT_WORDS]
    for group, is_weak in ((judging, True), (short, True), (sentences, False)):
        found = [words for text in group if (words := read_sentence(text, is_weak=is_weak))]
        if found:
            others = {words.name for words in found[1:]} - {"", found[0].name}
            return found[0]._replace(others=tuple(sorted(others)) if group is judging else ())
    return read_foreign(judging + short)


def find_scored_targets(description: str, targets: list[str]) -> list[str]:
    """Return the targets that alone are scored, where a sentence says so; else none."""
    for sentence in split_sentences(description):
        said = ONLY_SCORED.search(sentence)
        words = set(re.findall(r"[\w.-]*\w", sentence[said.start() :])) if said else set()
        named = [name for name in targets if name in words]
        if 0 < len(named) < len(targets):
            return named
    return []


def read_foreign(sentences: list[str]) -> MetricWords | None:
    """Return a metric that is not built in, where sentences on evaluation name no other."""
    for text in sentences:
        for pattern, what in LATE_FOREIGN_WORDS:
            if re.search(pattern, text.casefold()):
                return MetricWords("", shorten(text), foreign=what)
    return None


def find_judging(description: str) -> str:
    """Return the first sentence on evaluation, cut short; empty for none."""
    for text in split_sentences(description):
        if re.search(r"\b(evaluated|evaluation|scored|metric|judged|graded)\b", text.casefold()):
            return shorten(text)
    return ""


def shorten(sentence: str) -> str:
    """Return a sentence as messages show it."""
    return sentence if len(sentence) <= 200 else sentence[:197] + "..."


def read_direction_words(description: str) -> Direction | None:
    """Return whether higher or lower is better, where the description says so; None: it does not.

    Plain words count before names of metrics; words of both kinds say nothing.
    """
    sentences = [text.casefold() for text in split_sentences(description)]
    judging = [text for text in sentences if JUDGING.search(text)]
    for group, patterns in ((sentences, BETTER_WORDS), (judging, NATURE_WORDS)):
        said = {way for way, words in patterns.items() for text in group if re.search(words, text)}
        if len(said) == 1:
            return said.pop()
    return None


def split_sentences(text: str) -> list[str]:
    """Return the sentences; a heading goes with the line below it.

    Marks of HTML and addresses of links are left out.
    """
    if re.search(r"</\w+>|&nbsp;|<br */?>", text):
        text = re.sub(r"</(p|h\d|li|tr|div)>|<br */?>", "\n\n", text, flags=re.IGNORECASE)
        text = html.unescape(re.sub(r"</?\w[^<>]*>", " ", text))
    text = re.sub(r"!?\[([^\[\]]*)\]\([^()\s]*(\([^()\s]*\)[^()\s]*)*\)", r"\1", text)
    text = text.replace("\u00a0", " ")
    text = re.sub(r"(?m)^#+ *(.+)$\n*", lambda m: f"{m.group(1).strip()}: ", text)
    text = re.sub(r"(?<!\w)[*_`]{1,2}(?=\w)|[*`]{1,2}(?=\w)|(?<=\w)[*`]{1,2}", "", text)
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z(\[])|\n\s*\n|\n\s*[-*] ", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def read_sentence(sentence: str, *, is_weak: bool) -> MetricWords | None:
    """Return the metric that a sentence names; the weak words count where `is_weak`."""
    text = sentence.casefold()
    shown = shorten(sentence)
    if (match := BETA.search(text)) and MASKS.search(text):
        return MetricWords(f"fbeta_masks@{float(match[1]):g}", shown)
    for pattern, what in FOREIGN_WORDS:
        if re.search(pattern, text):
            return MetricWords("", shown, foreign=what)
    for pattern, name in FRAME_WORDS:
        if (match := re.search(pattern, text)) and not NEGATIONS.search(text[: match.start()]):
            return MetricWords(name, shown, **name_details(sentence))
    if match := RANKING_WORDS.search(text) or RANKING_SHORT.search(text):
        return MetricWords(f"map@{int(match.group(1))}", shown)
    for pattern, name in STRONG_WORDS + (WEAK_WORDS if is_weak else ()):
        for match in re.finditer(pattern, text):
            if not NEGATIONS.search(text[: match.start()]):
                form = FORMS.search(text)
                words = form.group(1) if form else ""
                return MetricWords(name, shown, form=words, **name_details(sentence))
    return None


class WordDetails(TypedDict):
    """What a sentence says beside the metric's name."""

    conditions: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]
    overlap: str


def name_details(sentence: str) -> WordDetails:
    """Return what may restrict or group the rows; columns of the table decide what it means."""
    overlap = OVERLAP.search(sentence)
    return WordDetails(
        conditions=tuple((match[1], match[2]) for match in CONDITION_WORDS.finditer(sentence)),
        groups=tuple(
            word for match in GROUP_WORDS.finditer(sentence) for word in match.groups() if word
        ),
        overlap=overlap[1] if overlap else "",
    )
