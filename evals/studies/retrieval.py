"""How well a paraphrased problem finds the success that answers it: recall@1/3/5 and MRR by embedding.

    python -m evals.studies.retrieval [--embedding openai:MODEL@URL]

Records and queries are hand-written (evals/data/retrieval.json). `statement only` indexes the challenge alone, to show what
indexing challenge, hypothesis and context together is worth. The baselines are fitted on the records, the lexical embedding
is not fitted on anything.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory.embed import Embedding, Lexical, open_embedding, tokens
from memory.protocol import Record
from memory.records import indexed_text

DATA = Path(__file__).parents[1] / "data" / "retrieval.json"
Similarity = NDArray[np.float64]
"""(n_queries, n_records), larger = nearer."""


def load() -> tuple[list[Record], list[str], list[set[int]]]:
    """Records, query texts, and for each query the indices of its right answers."""
    data = json.loads(DATA.read_text())
    place = {item["key"]: i for i, item in enumerate(data["records"])}
    common = {"kind": "accepted", "task_hash": "t", "gain": 0.1, "gain_se": 0.02}
    records = [
        Record.model_validate({**{k: v for k, v in item.items() if k != "key"}, **common})
        for item in data["records"]
    ]
    queries = data["queries"]
    return (
        records,
        [q["text"] for q in queries],
        [{place[key] for key in q["answers"]} for q in queries],
    )


def cosine(embedding: Embedding, texts: list[str], queries: list[str]) -> Similarity:
    result: Similarity = (
        embedding.embed(queries).astype(np.float64) @ embedding.embed(texts).astype(np.float64).T
    )
    return result


def tfidf(texts: list[str], queries: list[str]) -> Similarity:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), stop_words="english")
    rows = vectorizer.fit_transform(texts)
    result: Similarity = (vectorizer.transform(queries) @ rows.T).toarray()
    return result


def bm25(texts: list[str], queries: list[str], k1: float = 1.5, b: float = 0.75) -> Similarity:
    """Okapi BM25 over stemmed words."""
    documents = [tokens(text) for text in texts]
    vocabulary = {word: i for i, word in enumerate(sorted({w for d in documents for w in d}))}
    counts = np.zeros((len(documents), len(vocabulary)))
    for row, document in zip(counts, documents, strict=True):
        for word in document:
            row[vocabulary[word]] += 1
    n_with = (counts > 0).sum(axis=0)
    idf = np.log(1 + (len(documents) - n_with + 0.5) / (n_with + 0.5))
    length = counts.sum(axis=1, keepdims=True)
    weights = idf * counts * (k1 + 1) / (counts + k1 * (1 - b + b * length / length.mean()))
    asked = [[vocabulary[w] for w in set(tokens(q)) if w in vocabulary] for q in queries]
    return np.stack([weights[:, words].sum(axis=1) for words in asked])


def fused(*rankings: Similarity, k: int = 60) -> Similarity:
    """Reciprocal rank fusion (Cormack et al. 2009)."""
    ranks = [np.argsort(np.argsort(-s, axis=1, kind="stable"), axis=1) for s in rankings]
    result: Similarity = sum((1.0 / (k + 1 + r) for r in ranks), start=np.zeros_like(rankings[0]))
    return result


def figures(similarity: Similarity, answers: list[set[int]]) -> dict[str, float]:
    """recall@k: share of queries with a right answer among the first k. MRR: mean of 1 / rank of the first right answer."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    first = np.array(
        [
            next(r for r, i in enumerate(row) if int(i) in right)
            for row, right in zip(order, answers, strict=True)
        ]
    )
    return {
        **{f"R@{k}": float((first < k).mean()) for k in (1, 3, 5)},
        "MRR": float((1 / (first + 1)).mean()),
    }


def methods(
    records: list[Record], queries: list[str], extra: str | None
) -> dict[str, Callable[[], Similarity]]:
    texts = [indexed_text(record) for record in records]
    statements = [record.challenge for record in records]
    table: dict[str, Callable[[], Similarity]] = {
        "lexical 1024": lambda: cosine(Lexical(), texts, queries),
        "lexical 512": lambda: cosine(Lexical(512), texts, queries),
        "lexical 1024, statement only": lambda: cosine(Lexical(), statements, queries),
        "TF-IDF (fitted)": lambda: tfidf(texts, queries),
        "BM25 (fitted)": lambda: bm25(texts, queries),
        "hybrid: lexical 1024 + BM25": lambda: fused(
            cosine(Lexical(), texts, queries), bm25(texts, queries)
        ),
    }
    if extra:
        chosen = open_embedding(extra)
        table[extra] = lambda: cosine(chosen, texts, queries)
    return table


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--embedding", help="one more embedding, e.g. openai:MODEL@http://127.0.0.1:8000/v1"
    )
    args = parser.parse_args()
    records, queries, answers = load()
    print(
        f"{len(records)} records, {len(queries)} queries\n{'':32}"
        + "".join(f"{name:>7}" for name in ("R@1", "R@3", "R@5", "MRR"))
    )
    results = {}
    for name, similarity in methods(records, queries, args.embedding).items():
        results[name] = figures(similarity(), answers)
        print(f"{name:32}" + "".join(f"{value:7.3f}" for value in results[name].values()))
    return results


if __name__ == "__main__":
    main()
