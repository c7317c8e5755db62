"""Spans: a run as OpenTelemetry sees it (setting `otel`).  A listener of the run's events: run > round > step > verb.

Attributes are ids, verdicts, numbers and token counts from a fixed list; prompts, hypotheses, scripts, logs and paths never leave.
Where the spans go is for OpenTelemetry's own environment variables to say (OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS, …_PROTOCOL); a program that
embeds Gome and has set up a tracer provider of its own gets them there, below its current span.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from run.lock import RunError

VERBS = {
    "drafted": "draft", "diagnosed": "diagnose", "updated": "update", "repaired": "repair", "reviewed": "review",
    "execution_finished": "execute",
}  # fmt: skip
AFTER_VALIDATE = ("reviewed", "repaired", "attempt")
TOLD = (
    "run", "task", "metric", "direction", "traces", "steps", "reasoner", "sandbox", "round", "trace", "step", "attempt", "parent", "kind", "mode",
    "verdict", "score", "score_se", "gain", "gain_se", "seconds", "repairs", "component", "end", "exit_code", "cpu_s", "peak_bytes", "tier", "seed",
    "refit",
)  # fmt: skip
Event = dict[str, Any]
NOTHING: Event = {"ev": ""}
FLUSH_MS = 5_000
LOGGER = logging.getLogger("opentelemetry")


class RunSpans:
    """Opens and closes spans as events arrive, at the times that the events tell."""

    def __init__(self, provider: Any, run: str, ear: FirstWarning | None = None) -> None:
        """`ear` hears the exporter's complaints where the provider is ours, and not the embedding program's."""
        self.tracer, self.provider, self.run, self.ear = (
            provider.get_tracer("gome"),
            provider,
            run,
            ear,
        )
        self.open: dict[str, Any] = {}  # run, round, finalize, and the attempts being made
        self.done: dict[
            str, float
        ] = {}  # by attempt: when its script had ended and nothing had judged it yet
        self.last = 0.0

    def on_event(self, event: Event) -> None:
        name, now = event["ev"], float(event["t"])
        if name == "warning":
            return
        began = now - float(event.get("seconds") or 0.0) if name in VERBS else now
        self.root(min(began, now))
        if name in AFTER_VALIDATE:
            self.validated(event, began)
        if name in VERBS:
            self.verb(event, began, now)
        elif name in HANDLERS:
            HANDLERS[name](self, event, now)
        self.last = now

    def root(self, began: float) -> None:
        if "run" not in self.open:
            self.open["run"] = self.tracer.start_span(
                "run", start_time=to_ns(began), attributes={"gome.run": self.run}
            )

    def span(self, name: str, above: str, began: float, event: Event) -> Any:
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(self.open[above])
        return self.tracer.start_span(
            name,
            context=context,
            start_time=to_ns(began),
            attributes=span_attributes(event) | {"gome.run": self.run},
        )

    def place(self, event: Event, began: float) -> str:
        """The open span that an event belongs to: its step, else the finale or the round."""
        if "round" not in self.open and "finalize" not in self.open:
            self.open["round"] = self.span("round", "run", began, NOTHING)
        outer = "finalize" if "finalize" in self.open else "round"
        attempt = attempt_of(event) if event["ev"] in (*VERBS, "attempt") else ""
        if not attempt or outer == "finalize":
            return outer
        if attempt not in self.open:
            self.open[attempt] = self.span("step", outer, began, placement(event))
        return attempt

    def verb(self, event: Event, began: float, now: float) -> None:
        name = event["ev"]
        self.span(VERBS[name], self.place(event, began), began, event).end(to_ns(now))
        if name == "execution_finished" and event.get("attempt"):
            self.done[event["attempt"]] = now

    def validated(self, event: Event, ended: float) -> None:
        """The checks have no event of their own: they lie between a script's end and what follows."""
        attempt = attempt_of(event)
        began = self.done.pop(attempt, None)
        if began is not None:
            self.span("validate", self.place(event, began), began, placement(event)).end(
                to_ns(max(began, ended))
            )

    def recorded(self, event: Event, now: float) -> None:
        place = self.place(event, now)
        self.open[place].set_attributes(span_attributes(event))
        self.open.pop(place).end(to_ns(now))

    def merged(self, event: Event, now: float) -> None:
        self.span(
            "merge",
            self.place(best_attributes(event), self.last),
            self.last,
            best_attributes(event),
        ).end(to_ns(now))
        self.open["round"].set_attributes(span_attributes(best_attributes(event)))
        self.open.pop("round").end(to_ns(now))

    def finalizing(self, event: Event, now: float) -> None:
        self.shut(now, "round")
        self.open["finalize"] = self.span("finalize", "run", now, NOTHING)

    def finalized(self, event: Event, now: float) -> None:
        if "finalize" in self.open:
            self.open["finalize"].set_attributes(span_attributes(event))
            self.open.pop("finalize").end(to_ns(now))

    def started(self, event: Event, now: float) -> None:
        self.open["run"].set_attributes(
            span_attributes(event) | {"gome.resumed": event["ev"] == "run_resumed"}
        )

    def ended(self, event: Event, now: float) -> None:
        self.open["run"].set_attributes(
            {"gome.reason": str(event.get("reason", "")).partition("\n")[0][:100]}
            | span_attributes(best_attributes(event))
        )
        self.shut(now)

    def shut(self, now: float, *names: str) -> None:
        """Ends these spans, or all that are open, the inner ones first."""
        for name in names or tuple(reversed(self.open)):
            if name in self.open:
                self.open.pop(name).end(to_ns(now))

    def close(self) -> None:
        """Sends what is left; a collector that does not answer keeps nobody waiting for long."""
        self.shut(self.last)
        self.provider.force_flush(FLUSH_MS)
        if self.ear:
            self.provider.shutdown()
            LOGGER.removeHandler(self.ear)


HANDLERS: dict[str, Callable[[RunSpans, Event, float], None]] = {
    "attempt": RunSpans.recorded,
    "merged": RunSpans.merged,
    "finalizing": RunSpans.finalizing,
    "finalized": RunSpans.finalized,
    "run_started": RunSpans.started,
    "run_resumed": RunSpans.started,
    "run_ended": RunSpans.ended,
}


def attempt_of(event: Event) -> str:
    """The attempt that an event is about; a diagnosis names only its trace and step."""
    if event["ev"] == "attempt":
        return str(event["id"])
    if "attempt" not in event and "trace" in event and "step" in event:
        return f"t{event['trace']}s{event['step']}"
    return str(event.get("attempt", ""))


def placement(event: Event) -> Event:
    """Only where an event belongs."""
    return {name: event[name] for name in ("ev", "id", "attempt", "trace", "step") if name in event}


def best_attributes(event: Event) -> Event:
    """Round and best score of a merge or an end."""
    return {"ev": event["ev"], "round": event.get("round")} | {
        name: value
        for name, value in (event.get("best") or {}).items()
        if name in ("attempt", "score", "score_se")
    }


def span_attributes(event: Event) -> dict[str, str | int | float | bool]:
    """What of an event may leave: short, plain values of a fixed list, and the tokens."""
    found = {
        f"gome.{name}": event[name]
        for name in TOLD
        if isinstance(event.get(name), str | int | float | bool)
    }
    if attempt := attempt_of(event):
        found["gome.attempt"] = attempt
    usage = event.get("usage") or {}
    tokens = {
        f"gen_ai.usage.{name}": usage[name]
        for name in ("input_tokens", "output_tokens")
        if usage.get(name)
    }
    hypotheses = (
        {"gome.hypotheses": len(event["hypotheses"])}
        if isinstance(event.get("hypotheses"), list)
        else {}
    )
    cost = {"gome.usd": float(usage["usd"])} if usage.get("usd") else {}
    return {
        key: value[:100] if isinstance(value, str) else value
        for key, value in (found | tokens | hypotheses | cost).items()
    }


def to_ns(t: float) -> int:
    return int(t * 1e9)


# where spans go


def make_spans(run: str, warn: Callable[[str], None]) -> RunSpans:
    """The listener, with the program's own tracer provider or one that sends to the OTLP endpoint. Raises RunError without the extra."""
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        given = trace.get_tracer_provider()
        if isinstance(given, TracerProvider):
            return RunSpans(given, run)
        return RunSpans(otlp_provider(), run, hear_exporter(warn))
    except ImportError as error:
        raise RunError(
            f"otel: OpenTelemetry is not installed ({error.name}); pip install 'gome[otel]', or leave --otel out"
        ) from error


def otlp_provider() -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "gome"}))
    provider.add_span_processor(BatchSpanProcessor(otlp_exporter()))
    return provider


def otlp_exporter() -> Any:
    """As OTEL_EXPORTER_OTLP_PROTOCOL says: HTTP, or gRPC."""
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


def hear_exporter(warn: Callable[[str], None]) -> FirstWarning:
    ear = FirstWarning(warn)
    LOGGER.addHandler(ear)
    LOGGER.propagate = False
    return ear


class FirstWarning(logging.Handler):
    """The first complaint of the exporter becomes a warning of the run; the rest would only fill the screen."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.warn, self.said = warn, False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.said:
            self.said = True
            self.warn(
                f"OpenTelemetry: {record.getMessage()[:200]}; the run goes on without its spans"
            )
