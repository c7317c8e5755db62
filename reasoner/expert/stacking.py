"""The second level of a script: its own predictions weighed with those of earlier attempts."""

from __future__ import annotations

import hashlib

from reasoner.expert.predictions import file_columns
from reasoner.expert.spec import ScriptSpec, TaskFacts, plain_ids
from reasoner.protocol import DiagnoseBrief, UpdateBrief

N_SOURCES = 6  # attempts in a second level
STACKED = "stacked with"  # of the summary of a script that has a second level

READ_CODE = '''

STACK = {names!r}  # earlier attempts, whose predictions are out of fold by the same folds


def first_level(name, ids, own):
    """The predictions of this script and of every earlier attempt, side by side."""
    parts = [own]
    for attempt in STACK:
        table = pd.read_csv(f"input/attempts/{{attempt}}/{{name}}", index_col=0)
        table.index = table.index.astype(str)
        parts.append(table.loc[ids.astype(str), {columns}].to_numpy(dtype=float))
    return np.stack(parts)


rows = np.flatnonzero(validated)
level = first_level("oof.csv", train[ID].iloc[rows], {own_oof})
level_test = first_level("submission.csv", test[ID], {own_test})
'''
CLASS_CODE = '''

def log_odds(level):
    """Their mean, and how each script differs from it, which counts less where rows are few."""
    p = np.clip(level, 1e-6, 1 - 1e-6)
    odds = np.log(p / (1 - p))
    mean = odds.mean(axis=0)
    return np.column_stack([mean, *((one - mean) / len(odds) for one in odds)])


def combine(fit, y_fit, other):
    """A linear model of the log-odds."""
    return LogisticRegression(max_iter=1000).fit(fit, y_fit).predict_proba(other)


Z, Z_test, y_rows, fold_rows = log_odds(level), log_odds(level_test), y[rows], fold[rows]
for k in sorted(set(fold_rows)):  # the weights of a fold come from the other folds
    held = fold_rows == k
    oof[rows[held]] = combine(Z[~held], y_rows[~held], Z[held])
test_pred = combine(Z, y_rows, Z_test)'''
VALUE_CODE = '''

def combine(fit, y_fit, other):
    """Weights that sum to one, close to equal ones where rows are few."""
    columns = []
    for t in range(y_fit.shape[1]):
        mean, mean_other = fit[..., t].mean(axis=0), other[..., t].mean(axis=0)
        differ, error = (fit[..., t] - mean).T, y_fit[:, t] - mean
        pull = (len(fit) ** 2 * np.mean(error**2) + 1e-12) * np.eye(len(fit))
        weights = np.linalg.solve(differ.T @ differ + pull, differ.T @ error)
        columns.append(mean_other + (other[..., t] - mean_other).T @ weights)
    return np.column_stack(columns)


fold_rows, true = fold[rows], train[TARGET].to_numpy(dtype=float).reshape(len(train), -1)
Z, Z_test, y_rows = [{forward} for part in (level, level_test, true[rows])]
for k in sorted(set(fold_rows)):  # the weights of a fold come from the other folds
    held = fold_rows == k
    values = {inverse}(combine(Z[:, ~held], y_rows[~held], Z[:, held]))
    oof[rows[held]] = values.reshape(oof[rows[held]].shape)
test_pred = {inverse}(combine(Z, y_rows, Z_test)).reshape(test_pred.shape)'''


def list_sources(brief: object) -> tuple[str, ...]:
    """Return the best attempts of the run for a second level, in the order of their ids.

    Not the script that is changed, which predicts by itself, and no other second level.
    """
    if not isinstance(brief, DiagnoseBrief | UpdateBrief):
        return ()
    own = brief.measured.get(hashlib.sha256(brief.script.encode(errors="replace")).hexdigest())
    names = [
        fact.attempt
        for fact in brief.sources
        if fact.attempt != own and STACKED not in fact.summary
    ]
    return plain_ids(names[:N_SOURCES])


def stacking_import(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Import lines of the second level."""
    if spec.stack and facts.is_classification:
        return ["from sklearn.linear_model import LogisticRegression"]
    return []


def stacking_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code of the second level, fitted inside the folds, or an empty string."""
    if not spec.stack:
        return ""
    names = list(spec.stack)
    if facts.is_classification:
        is_single = len(facts.columns) == 2 and facts.soft != "classes"
        own = "{0}[:, 1:]" if is_single else "{0}"
        read = READ_CODE.format(
            names=names,
            columns=file_columns(facts),
            own_oof=own.format("oof[rows]"),
            own_test=own.format("test_pred"),
        )
        return read.rstrip() + "\n" + CLASS_CODE
    flat = "{0}.reshape(len({0}), -1)"
    read = READ_CODE.format(
        names=names,
        columns=file_columns(facts),
        own_oof=flat.format("oof[rows]"),
        own_test=flat.format("test_pred"),
    )
    is_log = facts.metric.startswith("rmsle")
    forward = "np.log1p(np.clip(part, 0, None))" if is_log else "part"
    inverse = "np.expm1" if is_log else ""
    return read.rstrip() + "\n" + VALUE_CODE.format(forward=forward, inverse=inverse)
