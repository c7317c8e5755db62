"""The weights of MiniLM: fetched once from a real local server, checked, or done without."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from memory_kit import TOPICS, a_record, folder_backend

from memory import weights
from memory.store import SuccessMemory, open_memory
from memory.weights import FILES, Weights, WeightsError, ensure_weights, find_weights

TINY = Path(__file__).parent / "fixtures" / "tiny_minilm"


class Store(BaseHTTPRequestHandler):
    """Serves `body`, in two halves with `pause_s` between them, and counts."""

    body = b""
    delay_s, pause_s = 0.0, 0.0
    n_requests = 0

    def do_GET(self) -> None:
        type(self).n_requests += 1
        time.sleep(self.delay_s)
        half = len(self.body) // 2
        self.send_response(200)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body[:half])
        time.sleep(self.pause_s)
        self.wfile.write(self.body[half:])

    def log_message(self, *args: object) -> None:
        pass


def archive_of(names: tuple[str, ...] = FILES) -> bytes:
    """An archive as Chroma's, with the tiny model, and a file that has no business there."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name in names:
            tar.add(TINY / name, f"onnx/{name}")
        tar.add(TINY / "vocab.txt", "../outside.txt")
    return target.getvalue()


@pytest.fixture
def store() -> Iterator[type[Store]]:
    class Handler(Store):
        body = archive_of()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.port = server.server_port  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Handler
    server.shutdown()
    server.server_close()
    thread.join()


def weights_at(store: type[Store], folder: Path, body: bytes = b"") -> Weights:
    port = store.port  # type: ignore[attr-defined]
    digest = hashlib.sha256(body or store.body).hexdigest()
    return Weights(f"http://127.0.0.1:{port}/onnx.tar.gz", digest, str(folder / "minilm"))


def test_weights_are_fetched_once_and_nothing_but_them_is_unpacked(
    store: type[Store], tmp_path: Path
) -> None:
    wanted = weights_at(store, tmp_path)
    with pytest.raises(WeightsError, match="not on this machine"):
        ensure_weights(wanted, fetch=False)
    folder = ensure_weights(wanted, fetch=True)
    assert ensure_weights(wanted, fetch=True) == folder and store.n_requests == 1
    assert (folder / "model.onnx").read_bytes() == (TINY / "model.onnx").read_bytes()
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(FILES)


def test_weights_of_another_hash_are_never_used_and_not_fetched_again(
    store: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = weights_at(store, tmp_path, body=b"the real ones")
    for _ in range(2):
        with pytest.raises(WeightsError, match="sha256"):
            ensure_weights(wanted, fetch=True)
        monkeypatch.setattr(weights, "_downloads", {})  # as in the next process
    assert find_weights(wanted) is None and store.n_requests == 1
    with pytest.raises(WeightsError, match=r"sha256 is .*, expected"):
        weights.install_weights(wanted, TINY / "vocab.txt")
    store.body = archive_of(FILES[:-1])
    whole = weights_at(store, tmp_path / "other")
    with pytest.raises(WeightsError, match="holds no onnx/model.onnx"):
        ensure_weights(whole, fetch=True)
    assert find_weights(whole) is None


def test_a_run_waits_no_longer_than_it_may_and_a_slow_download_serves_later_runs(
    store: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "ANSWER_S", 0.1)
    monkeypatch.setattr(weights, "WAIT_S", 0.1)
    store.pause_s = 0.5
    slow = weights_at(store, tmp_path / "slow")
    with pytest.raises(WeightsError, match="goes on while this run lasts"):
        ensure_weights(slow, fetch=True)
    weights._downloads[slow].join(20)
    assert find_weights(slow)
    store.delay_s = 2.0
    silent = weights_at(store, tmp_path / "silent")
    began = time.monotonic()
    with pytest.raises(WeightsError, match="no answer|timed out"):
        ensure_weights(silent, fetch=True)
    assert time.monotonic() - began < 2.0
    weights._downloads[silent].join(20)


def test_without_weights_auto_is_lexical_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Weights("http://127.0.0.1:9/onnx.tar.gz", "0" * 64, str(tmp_path / "minilm"))
    monkeypatch.setattr(weights, "MINILM", nowhere)
    said: list[tuple[str, str]] = []
    memory = open_memory(
        str(tmp_path / "m"), run="r", on_embedding=lambda *words: said.append(words)
    )
    memory.record(a_record(0))
    for _ in range(2):
        assert memory.recall(TOPICS[0][0], "", task_hash="t1")
    memory.close()
    ((name, note),) = said
    assert name == "lexical-1" and "Connection refused" in note and "`gome memory fetch`" in note


@pytest.mark.slow
def test_auto_uses_the_model_that_was_fetched_and_a_folder_changes_its_embedding(
    store: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MINILM", weights_at(store, tmp_path))
    told: list[str] = []
    said: list[tuple[str, str]] = []

    def opened(embedding: str) -> SuccessMemory:
        memory = open_memory(
            str(tmp_path / "m"),
            run="r",
            embedding=embedding,
            on_warning=told.append,
            on_embedding=lambda *words: said.append(words),
        )
        assert isinstance(memory, SuccessMemory)
        return memory

    first = opened("lexical")
    ids = {first.record(a_record(i)) for i in range(5)}
    first.recall("x", "", task_hash="t1")
    first.close()
    auto, other = opened("auto"), opened("lexical")
    assert auto.recall(TOPICS[0][0], "", task_hash="t1")
    index = folder_backend(auto)._index
    assert index and index.list_ids() == ids and folder_backend(auto).index_kind == "chroma"
    assert said[-1] == ("all-MiniLM-L6-v2", "") and auto.embedding.width == 8
    table = np.linalg.norm(auto.embedding.embed(["class weights", "log of"]), axis=1)
    assert table == pytest.approx([1, 1], abs=1e-5)
    assert other.recall(TOPICS[0][0], "", task_hash="t1")
    auto.close()
    other.close()
    changed, foreign = told
    assert "made with the embedding lexical-1-1024; it is rebuilt with all-MiniLM" in changed
    assert "another run uses" in foreign and "with the embedding all-MiniLM-L6-v2-8" in foreign
