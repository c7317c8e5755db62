"""How well a problem finds the success that answers it: recall@1/3/5 and MRR.

    python -m evals.studies.retrieval [--embedding lexical minilm ...]    # prints
    python -m evals.studies.retrieval --page docs/results/retrieval.md    # writes the page

The records are hand-written (evals/data/retrieval.json), and there are two sets of queries.
`paraphrased`: problems in other words, by the author of records and lexicon. `recorded`: what
recorded runs showed (evals/data/retrieval_runs.json), as the harness words the evidence of a
script, and as an engineer would say it who has read script and evidence; the writer had seen the
records earlier; answers
were assigned afterwards. `statement only` indexes the challenge alone, to show what indexing
challenge, hypothesis and context together is worth. The baselines are fitted on the records; the
embeddings are not fitted on anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.harness.pages import study_parser, table_head, table_row, write_study_page
from evals.harness.provenance import provenance_note
from memory.choose import open_embedding
from memory.embed import Embedding
from memory.lexical import LexicalEmbedding, tokenize_text
from memory.protocol import Record
from memory.records import indexed_text

DATA = Path(__file__).parents[1] / "data" / "retrieval.json"
RUNS = DATA.with_name("retrieval_runs.json")
N_DRAWS = 1_000
ABOUT = """\
*Paraphrased* problems were written by the author of records and lexicon, whose weights are at a \
flat optimum of them. *Recorded* problems come from runs of the expert: the evidence of a script, \
as a prompt words it, and the same in the words of somebody who read script and evidence, and who \
had seen the records earlier; two were reworded after a first result. Which \
records answer them was decided afterwards, by reading all of them.
"""
Similarity = NDArray[np.float64]
"""(n_queries, n_records), larger = nearer."""
Ranks = NDArray[np.int64]


class QuerySet(NamedTuple):
    """Problems, and for each the indices of the records that answer it."""

    texts: list[str]
    answers: list[set[int]]


def load_retrieval_set() -> tuple[list[Record], dict[str, QuerySet]]:
    """Return the records, and the sets of queries by name."""
    data = json.loads(DATA.read_text())
    recorded = json.loads(RUNS.read_text())["queries"]
    place = {item["key"]: i for i, item in enumerate(data["records"])}
    common = {"kind": "accepted", "task_hash": "t", "gain": 0.1, "gain_se": 0.02}
    records = []
    for item in data["records"]:
        fields = {name: value for name, value in item.items() if name != "key"}
        records.append(Record.model_validate(fields | common))

    def query_set(queries: list[dict[str, Any]], field: str) -> QuerySet:
        answers = [{place[key] for key in query["answers"]} for query in queries]
        return QuerySet([query[field] for query in queries], answers)

    return records, {
        "paraphrased": query_set(data["queries"], "text"),
        "recorded, in words": query_set(recorded, "words"),
        "recorded, the evidence itself": query_set(recorded, "evidence"),
    }


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


def first_ranks(similarity: Similarity, answers: list[set[int]]) -> Ranks:
    """Return for each query the rank of its first right answer, from 0."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    return np.array(
        [
            next(rank for rank, i in enumerate(row) if int(i) in right)
            for row, right in zip(order, answers, strict=True)
        ]
    )


def retrieval_figures(ranks: Ranks) -> dict[str, float]:
    """Return recall@k, the share of queries with a right answer among the first k, and MRR."""
    recalls = {f"R@{k}": float((ranks < k).mean()) for k in (1, 3, 5)}
    return recalls | {"MRR": float((1 / (ranks + 1)).mean())}


def retrieval_methods(
    records: list[Record], queries: list[str], embeddings: Mapping[str, Embedding]
) -> dict[str, Callable[[], Similarity]]:
    """Return name -> similarity of every method."""
    texts = [indexed_text(record) for record in records]
    statements = [record.challenge for record in records]
    lexical = LexicalEmbedding()
    methods: dict[str, Callable[[], Similarity]] = {
        name: partial(cosine_similarity, embedding, texts, queries)
        for name, embedding in embeddings.items()
    }
    return methods | {
        "lexical, 512 wide": lambda: cosine_similarity(LexicalEmbedding(512), texts, queries),
        "lexical, statement only": lambda: cosine_similarity(lexical, statements, queries),
        "TF-IDF (fitted)": lambda: tfidf_similarity(texts, queries),
        "BM25 (fitted)": lambda: bm25_similarity(texts, queries),
        "hybrid: lexical + BM25": lambda: fuse_rankings(
            cosine_similarity(lexical, texts, queries), bm25_similarity(texts, queries)
        ),
    }


def retrieval_page(embeddings: Mapping[str, Embedding], command: str) -> str:
    """Return the results of every set of queries as a page."""
    records, sets = load_retrieval_set()
    first = next(iter(sets.values()))
    parts = [
        "# Retrieval: does a problem find the success that answers it?\n",
        f"{len(records)} hand-written successes. Recall at k (R@k): share of problems with a right "
        "answer among the first k; MRR: mean of 1 / rank of the first right answer. In brackets "
        f"for R@1 and MRR: the 95 % interval over problems (bootstrap). {ABOUT}",
    ]
    for name, queries in sets.items():
        parts += [f"\n## {name.capitalize()}: {len(queries.texts)} problems\n"]
        parts += table_head(["", "R@1", "R@3", "R@5", "MRR"])
        methods = retrieval_methods(records, queries.texts, embeddings)
        if queries is not first:
            methods = {name: methods[name] for name in embeddings}
        ranks = {name: first_ranks(one(), queries.answers) for name, one in methods.items()}
        parts += [figures_row(name, found) for name, found in ranks.items()]
        parts += [compare_ranks(ranks, name, "lexical") for name in embeddings if name != "lexical"]
    return "\n".join([*parts, "\n" + provenance_note(command)])


def draw_queries(n: int) -> NDArray[np.int64]:
    """Return N_DRAWS samples of n queries with replacement."""
    return np.random.default_rng(0).integers(0, n, (N_DRAWS, n))


def figures_row(method: str, ranks: Ranks) -> str:
    """Return a method's figures with their intervals over the queries."""
    drawn = [retrieval_figures(ranks[rows]) for rows in draw_queries(len(ranks))]
    cells = [method]
    for name, value in retrieval_figures(ranks).items():
        low, high = np.percentile([one[name] for one in drawn], [2.5, 97.5])
        spread = f" [{low:.2f}, {high:.2f}]" if name in ("R@1", "MRR") else ""
        cells.append(f"{value:.3f}{spread}")
    return table_row(cells)


def compare_ranks(ranks: Mapping[str, Ranks], name: str, other: str) -> str:
    """Return the paired difference of two methods in MRR, with its interval."""
    gains = 1 / (ranks[name] + 1) - 1 / (ranks[other] + 1)
    low, high = np.percentile(gains[draw_queries(len(gains))].mean(axis=1), [2.5, 97.5])
    return f"\n{name} against {other}, paired: MRR {gains.mean():+.3f} [{low:+.3f}, {high:+.3f}]."


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument(
        "--embedding", nargs="+", default=["lexical"], help="embeddings as in docs/memory.md"
    )
    parser.add_argument("--page", type=Path, help="write the results there")
    options = parser.parse_args()
    embeddings = {name: open_embedding(name) for name in options.embedding}
    command = f"python -m evals.studies.retrieval --embedding {' '.join(embeddings)}"
    page = retrieval_page(embeddings, f"{command} --page {options.page}")
    for embedding in embeddings.values():
        embedding.close()
    if options.page:
        write_study_page(options.page.parent, options.page.name, page)
    else:
        print(page)


if __name__ == "__main__":
    main()
