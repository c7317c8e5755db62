"""Experiment trackers: what they are told, and that none of them can hold up or stop a run."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import FAULTS, HONEST, Player, events, quick, write_task

from run.lock import RunError
from run.trackers import listener
from run.trackers.listener import TrackListener, list_handed_files, make_track_listener
from run.trackers.protocol import AttemptFacts, EndFacts, RunFacts
from session.session import start_run

STARTED = {"t": 1.0, "ev": "run_started", "run": "r1", "task": "tiny", "metric": "rmse"}
SCRIPTS = [HONEST.format(noise=3), HONEST.format(noise=0.5), FAULTS["crash"]]
has_mlflow_server = all(importlib.util.find_spec(name) for name in ("mlflow", "flask", "alembic"))
has_wandb = importlib.util.find_spec("wandb") is not None


class Notebook:
    """A tracker that writes down what it is told, and may raise or wait at a call."""

    name = "notebook"

    def __init__(self, trouble: Any = None) -> None:
        self.told: list[Any] = []
        self.trouble = trouble or (lambda what: None)

    def start(self, facts: RunFacts, known: str) -> str:
        self.trouble("start")
        self.told.append((facts, known))
        return known or "run-7"

    def add_attempt(self, facts: AttemptFacts) -> None:
        self.trouble("attempt")
        self.told.append(facts)

    def end(self, facts: EndFacts) -> None:
        self.trouble("end")
        self.told.append(facts)


def attempt_event(number: int, score: float | None, **more: Any) -> dict[str, Any]:
    return {
        "t": 10.0 + number,
        "ev": "attempt",
        "id": f"t0s{number}",
        "trace": 0,
        "step": number,
        "kind": "update",
        "score": score,
        "seconds": 2.0,
        "verdict": "failed" if score is None else "accepted",
        "replaces": score is not None,
        "usage": {"input_tokens": 5, "usd": None},
        **more,
    }


def follow(
    folder: Path, tracker: Notebook, told: list[dict[str, Any]], before: Any = ()
) -> list[str]:
    warnings: list[str] = []
    one = TrackListener(
        tracker, folder, {"traces": 2, "runs_dir": "/home/me", "memory": "/m"}, warnings.append
    )
    one.recall_events(before)
    for event in told:
        one.on_event(event)
    one.close()
    return warnings


def test_a_tracker_is_told_attempts_and_result(tmp_path: Path) -> None:
    (tmp_path / "best" / "input").mkdir(parents=True)
    (tmp_path / "best" / "best.json").write_text("{}")
    (tmp_path / "best" / "solution.py").write_text("pass")
    (tmp_path / "best" / "submission.csv").symlink_to("/etc/passwd")
    (tmp_path / "best" / "input" / "train.csv").write_text("secret")
    book = Notebook()
    ended = {"t": 20.0, "ev": "run_ended", "reason": "budget", "message": "all steps used"}
    told = [
        STARTED | {"direction": "min"},
        {"t": 2.0, "ev": "diagnosed"},
        attempt_event(0, 5.0),
        attempt_event(1, None),
        attempt_event(2, 3.0),
        attempt_event(3, 4.0),
        ended | {"best": {"attempt": "t0s2", "score": 3.0}},
    ]
    assert follow(tmp_path, book, told) == []
    (facts, known), *attempts, end = book.told
    assert (facts.id, facts.task, facts.direction, known) == ("r1", "tiny", "min", "")
    assert facts.settings == {"traces": 2}, "no path of the user"
    assert [(a.number, a.best) for a in attempts] == [(1, 5.0), (2, 5.0), (3, 3.0), (4, 3.0)]
    assert attempts[0].numbers["input_tokens"] == 5 and "usd" not in attempts[0].numbers
    assert attempts[1].verdict == "failed" and "score" not in attempts[1].numbers
    assert end.is_final and (end.best, end.attempt) == (3.0, "t0s2")
    assert set(end.files) == {"best/best.json", "best/solution.py"}, "no link and no input"


def test_a_resumed_run_continues_the_trackers_run(tmp_path: Path) -> None:
    first = [STARTED, attempt_event(0, 0.5)]
    stop = [{"t": 12.0, "ev": "run_ended", "reason": "interrupted"}]
    book = Notebook()
    follow(tmp_path, book, first + stop)
    assert not book.told[-1].is_final
    again = Notebook()
    follow(tmp_path, again, [attempt_event(1, 0.4)], first + stop)
    (facts, known), attempt, _ = again.told
    assert (facts.id, known) == ("r1", "run-7")
    assert (attempt.number, attempt.best) == (2, 0.5)
    other = Notebook()
    other.name = "another"
    follow(tmp_path, other, [attempt_event(1, 0.4)], first)
    assert other.told[0][1] == ""


@pytest.mark.parametrize("where", ["start", "attempt", "end"])
def test_a_failing_tracker_is_one_warning(tmp_path: Path, where: str) -> None:
    def trouble(what: str) -> None:
        if what == where:
            raise ConnectionError("no route to host\nand more")

    told = [STARTED, *(attempt_event(n, 0.5) for n in range(5))]
    warnings = follow(tmp_path, Notebook(trouble), told)
    assert warnings == ["notebook: no route to host; the run continues"]


def test_a_tracker_that_hangs_holds_up_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "CLOSE_S", 0.2)
    free = threading.Event()
    book = Notebook(lambda what: free.wait(60) and None)
    try:
        warnings = follow(tmp_path, book, [STARTED, attempt_event(0, 0.5)])
        assert warnings == ["notebook does not answer; the run ended without it"]
    finally:
        free.set()


def test_files_of_members_are_handed_over_too(tmp_path: Path) -> None:
    place = tmp_path / "best" / "members" / "t0s1"
    place.mkdir(parents=True)
    (place / "solution.py").write_text("pass")
    (tmp_path / "report.html").write_text("page")
    assert set(list_handed_files(tmp_path)) == {"best/members/t0s1/solution.py", "report.html"}


@pytest.mark.parametrize("track", ["mlflow", "wandb"])
def test_a_missing_package_is_one_sentence(tmp_path: Path, track: str) -> None:
    if importlib.util.find_spec(track) is not None:
        pytest.skip(f"{track} is installed")
    with pytest.raises(RunError, match=rf"track: .* run `.* pip install {track}"):
        make_track_listener(track, tmp_path, {}, print)


@pytest.fixture
def mlflow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's own server on a free port, with its files below tmp_path."""
    if not has_mlflow_server:
        pytest.skip("needs the package mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = tmp_path / "mlflow"
    place.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{place}/store.db", "--workers", "1"]
    command += ["--artifacts-destination", str(place / "artifacts")]
    with (place / "log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=place, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for_health(f"{url}/health", server, place / "log")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def wait_for_health(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while True:
        assert server.poll() is None and time.monotonic() < until, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
async def test_mlflow_has_a_parent_run_with_children_and_best(
    tmp_path: Path, mlflow_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=3, max_repairs=0, track="mlflow")
    done = await start_run(str(task), settings, reasoner=Player(SCRIPTS))
    assert not events(done.folder, "warning")
    assert "".join(capfd.readouterr()) == "", "the console belongs to the run"
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if run.info.run_name == done.run)
    children = [
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    attempts = {str(event["id"]): event for event in events(done.folder, "attempt")}
    assert {run.info.run_name for run in children} == set(attempts) and len(runs) == 4
    for child in children:
        event = attempts[str(child.info.run_name)]
        assert child.data.tags["gome.verdict"] == event["verdict"]
        assert child.data.metrics.get("score") == pytest.approx(event["score"])
        assert child.info.status == ("FAILED" if event["verdict"] == "failed" else "FINISHED")
    history = client.get_metric_history(parent.info.run_id, "best")
    assert [metric.step for metric in history] == [1, 2, 3]
    assert parent.data.metrics["best"] == pytest.approx(done.score)
    assert parent.info.status == "FINISHED" and parent.data.params["steps"] == "3"
    names = {item.path for item in client.list_artifacts(parent.info.run_id, "best")}
    assert {"best/solution.py", "best/submission.csv", "best/best.json"} <= names
    assert str(tmp_path) not in json.dumps(parent.data.params)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
async def test_a_tracking_server_that_is_gone_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    settings = quick(tmp_path, steps=2, track="mlflow")
    task = write_task(tmp_path / "task")
    done = await start_run(str(task), settings, reasoner=Player(SCRIPTS[:2]))
    assert done.score and done.submission and done.submission.is_file()
    [warning] = events(done.folder, "warning")
    assert warning["message"].startswith("MLflow: ")


@pytest.mark.slow
@pytest.mark.skipif(not has_wandb, reason="needs the extra `wandb`")
@pytest.mark.filterwarnings("ignore")
async def test_wandb_records_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    task = write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=3, max_repairs=0, track="wandb")
    done = await start_run(str(task), settings, reasoner=Player(SCRIPTS))
    assert not events(done.folder, "warning")
    assert "".join(capfd.readouterr()) == "", "the console belongs to the run"
    [record] = done.folder.glob("wandb/offline-run-*/run-*.wandb")
    until = time.monotonic() + 60  # its own process writes the file, also after the run has ended
    while not (found := read_records(record))["ended"]:
        assert time.monotonic() < until, "the file has no end"
        time.sleep(0.2)
    rows = [row for row in found["history"] if "verdict" in row]
    attempts = list(events(done.folder, "attempt"))
    assert [row["verdict"] for row in rows] == [event["verdict"] for event in attempts]
    assert rows[0]["score"] == pytest.approx(attempts[0]["score"])
    assert found["config"]["steps"] == 3 and "runs_dir" not in found["config"]
    assert found["artifacts"] and any(f"best-{done.run}" in name for name in found["artifacts"])


def read_records(path: Path) -> dict[str, Any]:
    """What W&B's file holds: rows of the history, configuration, names of artifacts."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, Any] = {"history": [], "config": {}, "artifacts": [], "ended": False}
    for data in read_log(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        found["ended"] |= kind == "exit"
        if kind == "history":
            items = record.history.item
            found["history"].append(
                {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in items}
            )
        elif kind in ("run", "config"):
            config = record.run.config if kind == "run" else record.config
            found["config"] |= {i.key: json.loads(i.value_json) for i in config.update if i.key}
        elif kind == "artifact":
            found["artifacts"].append(record.artifact.name)
        elif kind == "request" and record.request.HasField("log_artifact"):
            found["artifacts"].append(record.request.log_artifact.artifact.name)
    return found


def read_log(data: bytes) -> Iterator[bytes]:
    """Yield the records of a file in LevelDB's log format, behind seven bytes of W&B's own."""
    at, block, whole = 7, 32 * 1024, b""
    while at + 7 <= len(data):
        if block - at % block < 7:  # the end of a block is padded
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole record, or its last part
            yield whole
            whole = b""
