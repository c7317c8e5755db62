"""The exchanges with models as their events summarise them."""

from __future__ import annotations

from report.formatting import clean_text, finite_number, whole_number
from report.model import CallView, Event

EVENT = "model_call"


def view_call(event: Event, number: int) -> CallView:
    """Return what an event says of its exchange, every field checked."""
    trace, step = (finite_number(event.get(name)) for name in ("trace", "step"))
    return CallView(
        number=number,
        verb=clean_text(event.get("verb"), 20),
        attempt=clean_text(event.get("attempt"), 100),
        trace=None if trace is None else int(trace),
        step=None if step is None else int(step),
        model=clean_text(event.get("model"), 80),
        form=clean_text(event.get("form"), 20),
        n_chars=whole_number(event.get("n_chars")),
        input_tokens=whole_number(event.get("input_tokens")),
        cached_tokens=whole_number(event.get("cached_tokens")),
        output_tokens=whole_number(event.get("output_tokens")),
        usd=finite_number(event.get("usd")),
        seconds=finite_number(event.get("seconds")),
        finish=clean_text(event.get("finish"), 40),
        error=clean_text(event.get("error"), 500),
        approach=clean_text(event.get("approach"), 600),
        why=clean_text(event.get("why"), 600),
        record=clean_text(event.get("record"), 128),
    )
