"""The part of a script that turns predictions into its two files."""

from __future__ import annotations

from pprint import pformat

from reasoner.expert.spec import ScriptSpec, TaskFacts
from reasoner.expert.training import has_numeric_labels, train_metric

INVERSE = {"log": "np.expm1({0})", "sqrt": "np.square(np.clip({0}, 0, None))"}
LABEL_SCORES = {
    "accuracy": "accuracy_score(y_true, y_said)",
    "balanced_accuracy": "balanced_accuracy_score(y_true, y_said)",
    "mcc": "matthews_corrcoef(y_true, y_said)",
    "f1": "f1_score(y_true, y_said)",
    "qwk": "cohen_kappa_score(y_true, y_said, weights='quadratic')",
}

NORMALISE_CODE = '''

def normalised(p, groups):
    """Probabilities of the positive class that sum to one within a group: exactly one row of it is positive."""
    positive = pd.Series(p[:, 1]).groupby(groups.to_numpy()).transform(lambda group: group / max(group.sum(), 1e-9)).to_numpy()
    return np.column_stack([1 - positive, positive])


oof = normalised(oof, train[{group!r}])
test_pred = normalised(test_pred, test[{group!r}])'''  # noqa: E501 - a script's own line lengths

THRESHOLDS_CODE = '''

def score(y_true, y_said):
    return {score}


def best_weights(p, y_true):
    """Weights of the classes that maximise the metric, by coordinate search."""
    weights = np.ones(p.shape[1])
    for _ in range(2):
        for c in range(p.shape[1]):
            tried = [(score(y_true, (p * np.where(np.arange(p.shape[1]) == c, w, weights)).argmax(axis=1)), w) for w in np.geomspace(0.25, 4, 15) * weights[c]]
            weights[c] = max(tried)[1]
    return weights


weighted = oof.copy()
for k in sorted(set(fold[validated])):  # the weights of a fold come from the other folds
    others = validated & (fold != k)
    weighted[fold == k] = oof[fold == k] * best_weights(oof[others], y[others])
test_pred = test_pred * best_weights(oof[validated], y[validated])
oof = weighted'''  # noqa: E501 - a script's own line lengths

EXPECTATION_LINES = [
    "oof_said = np.abs((oof @ values)[:, None] - values).argmin(axis=1)",
    "test_said = np.abs((test_pred @ values)[:, None] - values).argmin(axis=1)",
    "oof, test_pred = np.eye(len(values))[oof_said], np.eye(len(values))[test_said]",
    "oof[~validated] = np.nan",
]
GUESS_LINES = [
    "def guesses(p):",
    '    """The most probable classes of a row, best first, separated by blanks."""',
    "    best = (-p).argsort(axis=1, kind='stable')[:, :N_GUESSES]",
    "    return np.array([' '.join(str(CLASSES[i]) for i in row) for row in best]).reshape(-1, 1)",
    "",
]
BY_CLASS_LINES = [
    "def by_class(p):",
    '    """The columns of the files by the classes that they hold; zero for one never seen."""',
    "    place = {plain(label): index for index, label in enumerate(CLASSES)}",
    "    places = [place.get(plain(label), len(CLASSES)) for label in CLASS_OF.values()]",
    "    return np.column_stack([p, np.zeros(len(p))])[:, places]",
    "",
    "",
    "def plain(label):",
    '    """A label as text; 1.0 and 1 are the same."""',
    "    return str(label).removesuffix('.0')",
    "",
]
ERROR_LINES = [
    "def with_errors(p):",
    '    """The predicted columns; one of no target holds the usual error, which is its spread."""',
    "    true = train[TARGET].to_numpy(dtype=float).reshape(len(train), -1)",
    "    errors = np.abs(true - oof.reshape(len(train), -1))[validated]",
    "    values, usual = iter(p.reshape(len(p), -1).T), np.sqrt(2) * np.nanmean(errors)",
    "    columns = [next(values) if is_one else np.full(len(p), usual) for is_one in IS_TARGET]",
    "    return np.column_stack(columns)",
    "",
]
ORDER_LINES = [
    "names = [str(label) for label in CLASSES]  "
    "# a column of the sample is a class by its name, by its ending, or by its place",
    "ORDER = [next((i for i, n in enumerate(names) if n == c), None) for c in OUTPUT[1:]]",
    "if None in ORDER:",
    "    ORDER = [next((i for i in sorted(range(len(names)), key=lambda i: -len(names[i])) "
    "if c.endswith(names[i])), None) for c in OUTPUT[1:]]",
    "if None in ORDER or len(set(ORDER)) < len(ORDER):",
    "    ORDER = list(range(len(names)))",
    "",
]


def postprocessing_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code that changes the predictions after the models, or an empty string."""
    lines = _class_lines(spec, facts) if facts.is_classification else _value_lines(spec, facts)
    return "\n".join(["", *lines]) if lines else ""


def _value_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    lines = []
    if inverse := INVERSE.get(spec.target or ""):
        lines += [f"oof, test_pred = {inverse.format('oof')}, {inverse.format('test_pred')}"]
    if facts.metric.startswith("rmsle") or spec.target:
        lines += ["oof, test_pred = np.clip(oof, 0, None), np.clip(test_pred, 0, None)"]
    return lines


def _class_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    lines = []
    if spec.soften:
        lines += [
            "prior = np.bincount(y) / len(y)",
            "oof, test_pred = 0.97 * oof + 0.03 * prior, 0.97 * test_pred + 0.03 * prior",
        ]
    if spec.group_normalise and facts.group and facts.kind == "binary":
        lines += [NORMALISE_CODE.format(group=facts.group)]
    if spec.thresholds:
        lines += [THRESHOLDS_CODE.format(score=_label_score_code(facts))]
    if spec.expectation:
        lines += ["values = np.array(CLASSES, dtype=float)", *EXPECTATION_LINES]
    return lines


def _label_score_code(facts: TaskFacts) -> str:
    """Expression of the metric on labels; an F1 score averages as the metric's name says."""
    average = facts.metric.removeprefix("f1_") if facts.metric.startswith("f1_") else "macro"
    other = f"f1_score(y_true, y_said, average='{average}')"
    return LABEL_SCORES.get(facts.metric, other)


def file_columns(facts: TaskFacts) -> str:
    """Expression of the names of the files' prediction columns."""
    is_by_class = facts.is_classification and facts.soft == "classes"
    return "[str(label) for label in CLASSES]" if is_by_class else "OUTPUT[1:]"


def output_code(facts: TaskFacts) -> str:
    """Code that writes oof.csv, submission.csv and evidence.json."""
    return "\n".join([writer_code(facts), *WRITE_LINES, evidence_code(facts)])


WRITE_LINES = [
    'write("oof.csv", train[ID][validated], oof[validated])',
    'write("submission.csv", test[ID], test_pred)',
]


def writer_code(facts: TaskFacts) -> str:
    """Code of write(name, ids, p), which writes a file of predictions."""
    columns = _output_columns(facts)
    names = file_columns(facts)
    lines = [
        "",
        "",
        *(ORDER_LINES if columns == "p[:, ORDER]" else []),
        *_form_lines(columns, facts),
        "",
        "def write(name, ids, p):",
        f"    frame = pd.DataFrame({columns}, columns={names})",
        "    frame.insert(0, ID, ids.to_numpy())",
        "    frame.to_csv(name, index=False)",
        "",
        "",
    ]
    return "\n".join(lines)


def evidence_code(facts: TaskFacts, *, lined: bool = False) -> str:
    """Code that writes evidence.json; without training scores where there are several variants."""
    metric = train_metric(facts)
    train = (
        f'    "train": {{"folds": train_scores, '
        f'"metric": {metric.function if metric else "none"!r}}},'
    )
    lines = [
        "evidence = {",
        *([] if lined else [train]),
        '    "fit": {"n_features": X.shape[1], "n_rows": len(X)},',
        "}",
        'with open("evidence.json", "w") as file:',
        "    json.dump(evidence, file)",
    ]
    return "\n".join(lines)


def _form_lines(columns: str, facts: TaskFacts) -> list[str]:
    """Lines that define the function which `columns` calls."""
    if columns == "by_class(p)":
        classes = pformat(dict(facts.class_of_column), width=96, sort_dicts=False)
        return [f"CLASS_OF = {classes}", "", "", *BY_CLASS_LINES]
    if columns == "with_errors(p)":
        targets = [bool(target) for _, target in facts.target_of_column]
        return [f"IS_TARGET = {targets!r}", "", "", *ERROR_LINES]
    if columns == "guesses(p)":
        return [f"N_GUESSES = {facts.n_guesses}", "", "", *GUESS_LINES]
    return []


def _labels_by_script(facts: TaskFacts) -> list[str]:
    """The class of every column of the files as a script finds it without being told."""
    labels, names = list(facts.labels), list(facts.columns[1:])
    if facts.kind == "binary" and len(names) == 1:
        return labels[1:]
    if set(names) <= set(labels):
        return names
    longest = sorted(range(len(labels)), key=lambda index: -len(labels[index]))
    by_ending = [next((i for i in longest if name.endswith(labels[i])), None) for name in names]
    places = [place for place in by_ending if place is not None]
    if len(set(places)) < len(names):
        places = list(range(len(labels)))
    return [labels[place] for place in places]


def _soft_columns(facts: TaskFacts) -> str:
    """Expression of what stands in place of labels."""
    if facts.soft == "values":
        return "(p @ np.array(CLASSES, dtype=float)).reshape(-1, 1)"
    if facts.soft == "positive":
        return "p[:, :1]" if facts.second == facts.labels[0] else "p[:, 1:]"
    return "p"


def _output_columns(facts: TaskFacts) -> str:
    """Expression of the files' prediction columns, an array of rows by columns."""
    if not facts.is_classification:
        has_free = any(not target for _, target in facts.target_of_column)
        return "with_errors(p)" if has_free else "p.reshape(len(ids), -1)"
    if facts.soft:
        return _soft_columns(facts)
    if facts.n_guesses:
        return "guesses(p)"
    is_mapped = facts.needs_probabilities and facts.class_of_column
    if is_mapped and [label for _, label in facts.class_of_column] != _labels_by_script(facts):
        return "by_class(p)"
    if facts.prediction == "value" and facts.kind == "binary" and not has_numeric_labels(facts):
        return "p[:, 1:]"
    if not facts.needs_probabilities:
        return "np.array(CLASSES)[p.argmax(axis=1)].reshape(-1, 1)"
    if facts.kind == "binary" and len(facts.columns) == 2:
        return "p[:, 1:]"
    return "p[:, ORDER]"
