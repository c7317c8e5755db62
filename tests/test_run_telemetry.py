"""OpenTelemetry: spans arrive at a real OTLP receiver, without text of prompts or scripts."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kit import FAULTS, HONEST, Player, events, quick, write_task
from longrun_kit import scripts

from run import lock
from run.lock import RunError
from run.telemetry import LOGGER, FirstWarning, RunSpans
from session.session import start_run

VERBS = ("draft", "diagnose", "update", "execute", "validate", "repair")


class Receiver:
    """An OTLP collector over HTTP: accepts POST /v1/traces in protobuf."""

    def __init__(self) -> None:
        outer = self
        self.bodies: list[bytes] = []
        self.headers: list[tuple[str, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.bodies.append(
                    gzip.decompress(body)
                    if self.headers.get("Content-Encoding") == "gzip"
                    else body
                )
                outer.headers.append((self.path, dict(self.headers)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                return None

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for one in requests
            for resource in one.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `otel`")
    running = Receiver()
    yield running
    running.close()


def plain(span: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def ancestry(span: Any, known: dict[bytes, Any]) -> list[str]:
    names = []
    while span is not None:
        names.append(span.name)
        span = known.get(span.parent_span_id)
    return names


async def test_a_run_arrives_at_a_collector(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret-of-the-collector"
    )
    task = write_task(tmp_path / "task")
    player = Player([HONEST.format(noise=3), FAULTS["crash"], *scripts()[3:]])
    done = await start_run(str(task), quick(tmp_path, steps=3, otel=True), reasoner=player)
    assert (
        receiver.headers[0][0] == "/v1/traces"
        and receiver.headers[0][1]["authorization"] == "Bearer secret-of-the-collector"
    )
    found = receiver.spans()
    known = {span.span_id: span for span in found}
    lines = {" < ".join(ancestry(span, known)) for span in found}
    assert {
        "run",
        "finalize < run",
        "round < run",
        "merge < round < run",
        "step < round < run",
        *(f"{verb} < step < round < run" for verb in VERBS),
    } <= lines
    assert len({span.trace_id for span in found}) == 1
    steps = {plain(span)["gome.attempt"]: plain(span) for span in found if span.name == "step"}
    told = {event["id"]: event for event in events(done.folder, "attempt")}
    assert {name: (one["gome.verdict"], one["gome.score"]) for name, one in steps.items()} == {
        name: (event["verdict"], event["score"]) for name, event in told.items()
    }
    for span in found:
        above = known.get(span.parent_span_id)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert (
            above is None
            or above.start_time_unix_nano
            <= span.start_time_unix_nano
            <= span.end_time_unix_nano
            <= above.end_time_unix_nano
        )
    root = plain(next(span for span in found if span.name == "run"))
    assert (
        root["gome.reason"] == "budget"
        and root["gome.score"] == done.score
        and root["gome.score_se"] == done.score_se
        and root["gome.run"] == done.run
    )
    sent = b"".join(receiver.bodies)
    assert (
        b"gome" in sent
        and b"play script" not in sent
        and b"import csv" not in sent
        and b"boom" not in sent
    )
    assert str(tmp_path).encode() not in sent and b"Predict the label" not in sent


async def test_a_missing_collector_costs_a_warning(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.close()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    done = await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steps=1, otel=True),
        reasoner=Player(scripts()),
    )
    assert done.reason == "budget: steps"
    (said,) = [
        event["message"]
        for event in events(done.folder, "warning")
        if "OpenTelemetry" in event["message"]
    ]
    assert "continues without its spans" in said and not any(
        isinstance(each, FirstWarning) for each in LOGGER.handlers
    )


async def test_missing_packages_are_reported_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    with pytest.raises(RunError, match=r"pip install opentelemetry-sdk"):
        await start_run(
            str(write_task(tmp_path / "task")),
            quick(tmp_path, otel=True),
            folder=tmp_path / "run",
            reasoner=Player(scripts()),
        )
    assert not (tmp_path / "run").exists()
    assert str((tmp_path / "run").resolve()) not in lock._held


def test_spans_go_below_those_of_the_program_that_embeds_gome() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    listener = RunSpans(provider, "r1")
    with provider.get_tracer("app").start_as_current_span("request"):
        listener.on_event(
            {"ev": "run_started", "t": 1.0, "run": "r1", "settings": {"key": "secret"}}
        )
    listener.on_event(
        {
            "ev": "drafted",
            "t": 3.0,
            "seconds": 2.0,
            "trace": 0,
            "step": 0,
            "attempt": "t0s0",
            "summary": "private",
        }
    )
    listener.on_event(
        {
            "ev": "execution_finished",
            "t": 5.0,
            "seconds": 1.5,
            "trace": 0,
            "step": 0,
            "attempt": "t0s0",
            "end": "exit",
        }
    )
    listener.close()  # killed here: what was open ends with the last event
    found = {span.name: span for span in memory.get_finished_spans()}
    assert set(found) == {"request", "run", "round", "step", "draft", "execute"}
    parent = found["run"].parent
    assert parent and parent.span_id == found["request"].context.span_id
    assert (found["execute"].start_time, found["execute"].end_time, found["step"].end_time) == (
        3_500_000_000,
        5_000_000_000,
        5_000_000_000,
    )
    assert "private" not in str([dict(span.attributes or {}) for span in found.values()])
