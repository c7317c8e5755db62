"""Embeddings: deterministic offline ones, and a real local endpoint."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from memory.embed import Cached, EmbeddingError, Endpoint, Lexical, fingerprint, open_embedding

TEXTS = ["log1p of a skewed target", "", "class weights", "日本語 текст", "a" * 50_000]


def test_lexical_is_the_same_in_another_process_and_of_length_one():
    rows = Lexical().embed(TEXTS)
    code = "import sys, json; from memory.embed import Lexical; sys.stdout.buffer.write(Lexical().embed(json.loads(sys.argv[1])).tobytes())"
    texts = [t[:8_000] for t in TEXTS]
    other = subprocess.run(
        [sys.executable, "-c", code, json.dumps(texts)], capture_output=True, check=True, timeout=60
    ).stdout
    assert other == rows.tobytes()
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_words_of_the_trade_bring_paraphrases_together():
    query, same, other = Lexical().embed(["NaN cells", "impute missing values", "blend two models"])
    assert query @ same > 0.2 > query @ other


def test_a_fingerprint_names_embedding_version_and_width():
    assert {fingerprint(Lexical()), fingerprint(Lexical(512))} == {
        "lexical-1-1024",
        "lexical-1-512",
    }


def test_an_unknown_embedding_is_refused():
    with pytest.raises(EmbeddingError, match="known: lexical, openai:MODEL"):
        open_embedding("word2vec")


class Embeddings(BaseHTTPRequestHandler):
    answer = staticmethod(lambda texts: [[1.0 + len(text), 2.0, 2.0] for text in texts])

    def do_POST(self):
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

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    handler = type("Handler", (Embeddings,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made = open_embedding(f"openai:some/model@http://127.0.0.1:{server.server_port}/v1")
    assert isinstance(made, Endpoint)
    yield made, handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_gets_texts_and_its_width_is_learnt(endpoint):
    made, handler = endpoint
    assert made.embed(["a", "bb"])[0] == pytest.approx(np.array([2, 2, 2]) / 12**0.5)
    assert handler.asked["input"] == [
        "a",
        "bb",
    ]  # words, no token ids: other servers do not know those
    assert fingerprint(made) == "openai-some-model-3"


def test_vectors_of_another_width_are_refused(endpoint):
    made, handler = endpoint
    made.embed(["a"])
    handler.answer = staticmethod(lambda texts: [[1.0, 2.0] for _ in texts])
    with pytest.raises(EmbeddingError, match="changed its width from 3 to 2"):
        made.embed(["a"])


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0]])
def test_a_vector_without_a_direction_is_refused(endpoint, row):
    made, handler = endpoint
    handler.answer = staticmethod(lambda texts: [row for _ in texts])
    with pytest.raises(EmbeddingError):
        made.embed(["a"])


def test_an_endpoint_that_is_down_is_one_kind_of_error(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with pytest.raises(EmbeddingError, match="embedding endpoint"):
        Endpoint("m", "http://127.0.0.1:9/v1", timeout_s=2).embed(["a"])


def test_known_texts_are_not_embedded_again():
    asked = []

    class Counting(Lexical):
        def embed(self, texts):
            asked.extend(texts)
            return super().embed(texts)

    cached = Cached(Counting(), size=2)
    for texts in (["a", "b", "a"], ["b"], ["c"], ["a"]):
        assert (cached.embed(texts) == Lexical().embed(texts)).all()
    assert asked == ["a", "b", "c", "a"]
