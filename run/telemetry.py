"""OpenTelemetry spans of a run (setting `otel`): run > round > step > verb.

A listener of the run's events makes them. Attributes are ids, verdicts, numbers and token counts
from a fixed list; prompts, hypotheses, scripts, logs and paths are never sent. OpenTelemetry's
environment variables name the destination (OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS, …_PROTOCOL); a
program that embeds Gome and has its own tracer provider gets the spans there, below its current
span.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from graph.state import Json
from run.lock import RunError
from settings.remedies import install_command

OTEL_PACKAGES = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")

VERBS = {
    "drafted": "draft",
    "diagnosed": "diagnose",
    "updated": "update",
    "repaired": "repair",
    "reviewed": "review",
    "execution_finished": "execute",
}
AFTER_VALIDATE = ("reviewed", "repaired", "attempt")
SPAN_FIELDS = (
    "run", "task", "metric", "direction", "traces", "steps", "reasoner", "sandbox", "round",
    "trace", "step", "attempt", "parent", "kind", "mode", "verdict", "score", "score_se", "gain",
    "gain_se", "seconds", "repairs", "component", "end", "exit_code", "cpu_s", "peak_bytes", "tier",
    "seed", "refit",
)  # fmt: skip
MAX_CHARS = 100  # of a text attribute
EMPTY_EVENT: Json = {"ev": ""}
FLUSH_MS = 5_000
LOGGER = logging.getLogger("opentelemetry")


class RunSpans:
    """Start and end spans as events arrive, at the times of the events."""

    def __init__(self, provider: Any, run: str, first_warning: FirstWarning | None = None) -> None:
        """Use this tracer provider.

        Args:
            provider: OpenTelemetry's TracerProvider.
            run: the run's id.
            first_warning: handler of the exporter's warnings, if the provider is our own.
        """
        self._provider = provider
        self._tracer = provider.get_tracer("gome")
        self._run = run
        self._first_warning = first_warning
        self._open: dict[str, Any] = {}  # run, round, finalize, and the attempts in progress
        self._executed: dict[str, float] = {}  # by attempt: end of a script not judged yet
        self._last = 0.0

    def on_event(self, event: Json) -> None:
        """Handle an event of the run."""
        name, now = event["ev"], float(event["t"])
        if name == "warning":
            return
        began = now - float(event.get("seconds") or 0.0) if name in VERBS else now
        self._open_run(min(began, now))
        if name in AFTER_VALIDATE:
            self._add_validate(event, began)
        if name in VERBS:
            self._add_verb(event, began, now)
        elif name in HANDLERS:
            HANDLERS[name](self, event, now)
        self._last = now

    def _open_run(self, began: float) -> None:
        if "run" not in self._open:
            self._open["run"] = self._tracer.start_span(
                "run", start_time=to_nanoseconds(began), attributes={"gome.run": self._run}
            )

    def _start_span(self, name: str, above: str, began: float, event: Json) -> Any:
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(self._open[above])
        return self._tracer.start_span(
            name,
            context=context,
            start_time=to_nanoseconds(began),
            attributes=span_attributes(event) | {"gome.run": self._run},
        )

    def _open_place(self, event: Json, began: float) -> str:
        """Return the name of the open span of an event: its step, else the finale or the round."""
        if "round" not in self._open and "finalize" not in self._open:
            self._open["round"] = self._start_span("round", "run", began, EMPTY_EVENT)
        outer = "finalize" if "finalize" in self._open else "round"
        attempt = event_attempt(event) if event["ev"] in (*VERBS, "attempt") else ""
        if not attempt or outer == "finalize":
            return outer
        if attempt not in self._open:
            self._open[attempt] = self._start_span("step", outer, began, place_fields(event))
        return attempt

    def _add_verb(self, event: Json, began: float, now: float) -> None:
        name = event["ev"]
        span = self._start_span(VERBS[name], self._open_place(event, began), began, event)
        span.end(to_nanoseconds(now))
        if name == "execution_finished" and event.get("attempt"):
            self._executed[event["attempt"]] = now

    def _add_validate(self, event: Json, ended: float) -> None:
        """Add the checks, which have no event: they run from a script's end to the next event."""
        attempt = event_attempt(event)
        began = self._executed.pop(attempt, None)
        if began is not None:
            place = self._open_place(event, began)
            span = self._start_span("validate", place, began, place_fields(event))
            span.end(to_nanoseconds(max(began, ended)))

    def _end_step(self, event: Json, now: float) -> None:
        place = self._open_place(event, now)
        self._open[place].set_attributes(span_attributes(event))
        self._open.pop(place).end(to_nanoseconds(now))

    def _end_round(self, event: Json, now: float) -> None:
        began, best = self._last, best_attributes(event)
        span = self._start_span("merge", self._open_place(best, began), began, best)
        span.end(to_nanoseconds(now))
        self._open["round"].set_attributes(span_attributes(best))
        self._open.pop("round").end(to_nanoseconds(now))

    def _begin_finalize(self, event: Json, now: float) -> None:
        self._end_spans(now, "round")
        self._open["finalize"] = self._start_span("finalize", "run", now, EMPTY_EVENT)

    def _end_finalize(self, event: Json, now: float) -> None:
        if "finalize" in self._open:
            self._open["finalize"].set_attributes(span_attributes(event))
            self._open.pop("finalize").end(to_nanoseconds(now))

    def _describe_run(self, event: Json, now: float) -> None:
        self._open["run"].set_attributes(
            span_attributes(event) | {"gome.resumed": event["ev"] == "run_resumed"}
        )

    def _end_run(self, event: Json, now: float) -> None:
        reason = str(event.get("reason", "")).partition("\n")[0][:MAX_CHARS]
        best = span_attributes(best_attributes(event))
        self._open["run"].set_attributes({"gome.reason": reason, **best})
        self._end_spans(now)

    def _end_spans(self, now: float, *names: str) -> None:
        """End these spans, or all that are open, the inner ones first."""
        for name in names or tuple(reversed(self._open)):
            if name in self._open:
                self._open.pop(name).end(to_nanoseconds(now))

    def close(self) -> None:
        """Send the remaining spans; wait at most `FLUSH_MS` for the collector."""
        self._end_spans(self._last)
        self._provider.force_flush(FLUSH_MS)
        if self._first_warning:
            self._provider.shutdown()
            LOGGER.removeHandler(self._first_warning)


HANDLERS: dict[str, Callable[[RunSpans, Json, float], None]] = {
    "attempt": RunSpans._end_step,
    "merged": RunSpans._end_round,
    "finalizing": RunSpans._begin_finalize,
    "finalized": RunSpans._end_finalize,
    "run_started": RunSpans._describe_run,
    "run_resumed": RunSpans._describe_run,
    "run_ended": RunSpans._end_run,
}


def event_attempt(event: Json) -> str:
    """Return the attempt of an event, or empty; a diagnosis names only its trace and step."""
    if event["ev"] == "attempt":
        return str(event["id"])
    if "attempt" not in event and "trace" in event and "step" in event:
        return f"t{event['trace']}s{event['step']}"
    return str(event.get("attempt", ""))


def place_fields(event: Json) -> Json:
    """Return only the fields that say where an event belongs."""
    return {name: event[name] for name in ("ev", "id", "attempt", "trace", "step") if name in event}


def best_attributes(event: Json) -> Json:
    """Return round and best score of a merge or an end."""
    best = event.get("best") or {}
    best = {} if best.get("baseline") else best  # no attempt's score
    fields = {name: best[name] for name in ("attempt", "score") if name in best}
    score_se = best.get("score_se", best.get("se"))  # run_ended has best.json's name for it
    return {"ev": event["ev"], "round": event.get("round"), **fields, "score_se": score_se}


def span_attributes(event: Json) -> dict[str, str | int | float | bool]:
    """Return the attributes of an event: short, plain values of a fixed list, and the usage."""
    attributes = {
        f"gome.{name}": event[name]
        for name in SPAN_FIELDS
        if isinstance(event.get(name), str | int | float | bool)
    }
    if attempt := event_attempt(event):
        attributes["gome.attempt"] = attempt
    usage = event.get("usage") or {}
    for name in ("input_tokens", "output_tokens", "cached_tokens"):
        if usage.get(name):
            attributes[f"gen_ai.usage.{name}"] = usage[name]
    if isinstance(event.get("hypotheses"), list):
        attributes["gome.hypotheses"] = len(event["hypotheses"])
    if usage.get("usd"):
        attributes["gome.usd"] = float(usage["usd"])
    return {
        name: value[:MAX_CHARS] if isinstance(value, str) else value
        for name, value in attributes.items()
    }


def to_nanoseconds(t: float) -> int:
    """Convert Unix seconds."""
    return int(t * 1e9)


# destination of the spans


def make_spans(run: str, warn: Callable[[str], None]) -> RunSpans:
    """Return the listener, with the program's tracer provider or one for the OTLP endpoint.

    Raises:
        RunError: the extra `otel` is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            return RunSpans(provider, run)
        return RunSpans(make_otlp_provider(), run, attach_warning_handler(warn))
    except ImportError as error:
        raise RunError(
            f"otel: OpenTelemetry is not installed ({error.name}); run "
            f"`{install_command(*OTEL_PACKAGES)}`, or leave --otel out"
        ) from error


def make_otlp_provider() -> Any:
    """Return a tracer provider for the OTLP endpoint; its service is `gome` by default."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    has_name = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in attributes
    resource = Resource.create({} if has_name else {"service.name": "gome"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(make_otlp_exporter()))
    return provider


def make_otlp_exporter() -> Any:
    """Return the exporter that OTEL_EXPORTER_OTLP_PROTOCOL names: HTTP, or gRPC."""
    protocol = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        return Grpc()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def attach_warning_handler(warn: Callable[[str], None]) -> FirstWarning:
    """Send the exporter's first warning to `warn` instead of the screen."""
    handler = FirstWarning(warn)
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    return handler


class FirstWarning(logging.Handler):
    """Turn the exporter's first log record into a warning of the run, and drop the rest."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn
        self._has_warned = False

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a log record."""
        if not self._has_warned:
            self._has_warned = True
            self._warn(
                f"OpenTelemetry: {record.getMessage()[:200]}; the run continues without its spans"
            )
