"""How well a paraphrased problem finds the success that answers it: recall@1/3/5 and MRR.

    python -m evals.studies.retrieval [--embedding openai:MODEL@URL]

Records and queries are hand-written (evals/data/retrieval.json). `statement only` indexes the
challenge alone, to show what indexing challenge, hypothesis and context together is worth. The
baselines are fitted on the records; the lexical embedding is not fitted on anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evals.harness.pages import study_parser
from memory.choose import open_embedding
from memory.embed import Embedding
from memory.lexical import LexicalEmbedding, tokenize_text
from memory.protocol import Record
from memory.records import indexed_text

DATA = Path(__file__).parents[1] / "data" / "retrieval.json"
Similarity = NDArray[np.float64]
"""(n_queries, n_records), larger = nearer."""


def load_retrieval_set() -> tuple[list[Record], list[str], list[set[int]]]:
    """Return records, query texts, and for each query the indices of its right answers."""
    data = json.loads(DATA.read_text())
    place = {item["key"]: i for i, item in enumerate(data["records"])}
    common = {"kind": "accepted", "task_hash": "t", "gain": 0.1, "gain_se": 0.02}
    records = []
    for item in data["records"]:
        fields = {name: value for name, value in item.items() if name != "key"}
        records.append(Record.model_validate(fields | common))
    texts = [query["text"] for query in data["queries"]]
    answers = [{place[key] for key in query["answers"]} for query in data["queries"]]
    return records, texts, answers


def cosine_similarity(embedding: Embedding, texts: list[str], queries: list[str]) -> Similarity:
    """Embed both and return their products."""
    rows = embedding.embed(texts).astype(np.float64)
    similarity: Similarity = embedding.embed(queries).astype(np.float64) @ rows.T
    return similarity


def tfidf_similarity(texts: list[str], queries: list[str]) -> Similarity:
    """TF-IDF of words and pairs of words, fitted on the texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), stop_words="english")
    rows = vectorizer.fit_transform(texts)
    similarity: Similarity = (vectorizer.transform(queries) @ rows.T).toarray()
    return similarity


def bm25_similarity(
    texts: list[str], queries: list[str], k1: float = 1.5, b: float = 0.75
) -> Similarity:
    """Okapi BM25 over stemmed words."""
    documents = [tokenize_text(text) for text in texts]
    words = sorted({word for document in documents for word in document})
    vocabulary = {word: i for i, word in enumerate(words)}
    counts = np.zeros((len(documents), len(vocabulary)))
    for row, document in zip(counts, documents, strict=True):
        for word in document:
            row[vocabulary[word]] += 1
    n_with = (counts > 0).sum(axis=0)
    idf = np.log(1 + (len(documents) - n_with + 0.5) / (n_with + 0.5))
    length = counts.sum(axis=1, keepdims=True)
    weights = idf * counts * (k1 + 1) / (counts + k1 * (1 - b + b * length / length.mean()))
    scores = []
    for query in queries:
        columns = [vocabulary[word] for word in set(tokenize_text(query)) if word in vocabulary]
        scores.append(weights[:, columns].sum(axis=1))
    return np.stack(scores)


def fuse_rankings(*similarities: Similarity, k: int = 60) -> Similarity:
    """Reciprocal rank fusion (Cormack et al. 2009)."""
    fused: Similarity = np.zeros_like(similarities[0])
    for similarity in similarities:
        ranks = np.argsort(np.argsort(-similarity, axis=1, kind="stable"), axis=1)
        fused = fused + 1.0 / (k + 1 + ranks)
    return fused


def retrieval_figures(similarity: Similarity, answers: list[set[int]]) -> dict[str, float]:
    """Return recall@k and MRR.

    recall@k: share of queries with a right answer among the first k. MRR: mean of 1 / rank of the
    first right answer.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranks = []
    for row, right in zip(order, answers, strict=True):
        ranks.append(next(rank for rank, i in enumerate(row) if int(i) in right))
    first = np.array(ranks)
    recalls = {f"R@{k}": float((first < k).mean()) for k in (1, 3, 5)}
    return recalls | {"MRR": float((1 / (first + 1)).mean())}


def retrieval_methods(
    records: list[Record], queries: list[str], extra: str | None
) -> dict[str, Callable[[], Similarity]]:
    """Return name -> similarity of every method; `extra` names one more embedding."""
    texts = [indexed_text(record) for record in records]
    statements = [record.challenge for record in records]
    lexical = LexicalEmbedding()
    methods: dict[str, Callable[[], Similarity]] = {
        "lexical 1024": lambda: cosine_similarity(lexical, texts, queries),
        "lexical 512": lambda: cosine_similarity(LexicalEmbedding(512), texts, queries),
        "lexical 1024, statement only": lambda: cosine_similarity(lexical, statements, queries),
        "TF-IDF (fitted)": lambda: tfidf_similarity(texts, queries),
        "BM25 (fitted)": lambda: bm25_similarity(texts, queries),
        "hybrid: lexical 1024 + BM25": lambda: fuse_rankings(
            cosine_similarity(lexical, texts, queries), bm25_similarity(texts, queries)
        ),
    }
    if extra:
        embedding = open_embedding(extra)
        methods[extra] = lambda: cosine_similarity(embedding, texts, queries)
    return methods


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument(
        "--embedding", help="one more embedding, e.g. openai:MODEL@http://127.0.0.1:8000/v1"
    )
    options = parser.parse_args()
    records, queries, answers = load_retrieval_set()
    print(f"{len(records)} records, {len(queries)} queries")
    print(" " * 32 + "".join(f"{name:>7}" for name in ("R@1", "R@3", "R@5", "MRR")))
    for name, similarity in retrieval_methods(records, queries, options.embedding).items():
        figures = retrieval_figures(similarity(), answers)
        print(f"{name:32}" + "".join(f"{value:7.3f}" for value in figures.values()))


if __name__ == "__main__":
    main()
