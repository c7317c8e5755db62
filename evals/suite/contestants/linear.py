"""Contestant: what anyone would try first. Scaled columns or TF-IDF, and a linear model.

python linear.py TASK SUBMISSION SECONDS
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from evals.suite.contestants.features import Task, answer_texts, read_arguments, write_submission


def make_columns(task: Task) -> Any:
    """Return what turns the columns into numbers of a similar scale."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=50_000)
    letters = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5), min_df=2)
    parts: list[Any] = [(numbers, task.numeric)] if task.numeric else []
    if task.categorical:
        encoder = OneHotEncoder(handle_unknown="ignore", min_frequency=3)
        parts.append((encoder, task.categorical))
    parts += [(make_union(words, letters), name) for name in task.text]
    return make_column_transformer(*parts)


def main() -> None:
    task, path, _ = read_arguments()
    if task.is_text:
        write_submission(task, answer_texts(task), None, path)
        return
    if task.is_classification:
        c = 5.0 if task.text else 1.0
        model = make_pipeline(make_columns(task), LogisticRegression(C=c, max_iter=2000))
        model.fit(task.train, task.train[task.target[0]])
        write_submission(task, model.predict_proba(task.test), model.classes_, path)
        return
    y = task.train[task.target].to_numpy(float)
    model = make_pipeline(make_columns(task), Ridge())
    said = model.fit(task.train, np.log1p(y) if task.is_relative else y).predict(task.test)
    write_submission(task, np.expm1(said).clip(0) if task.is_relative else said, None, path)


if __name__ == "__main__":
    main()
