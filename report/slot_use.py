"""How much of the slots' time scripts ran, and how long traces waited for one another."""

from __future__ import annotations

from report.formatting import finite_number, format_plural, whole_number
from report.model import Event, RunView, SlotUse


def begin_slots(event: Event) -> SlotUse | None:
    """Return the use of the slots at the start of a run; None for a run that did not note them."""
    slots = whole_number(event.get("slots"))
    return SlotUse(slots, _read_seconds(event, "elapsed")) if slots > 0 else None


def count_slot_use(known: SlotUse | None, merged: Event, script_s: float) -> SlotUse | None:
    """Add a merge; `script_s`: seconds of all scripts so far."""
    if known is None:
        return None
    waited_s = known.waited_s + _read_seconds(merged, "waited_s")
    until_s = _read_seconds(merged, "elapsed")
    return known._replace(until_s=until_s, script_s=script_s, waited_s=waited_s)


def _read_seconds(event: Event, name: str) -> float:
    return max(0.0, finite_number(event.get(name)) or 0.0)


def busy_share(use: SlotUse) -> float:
    """Return the share of the slots' time in which scripts ran, 0..1."""
    seconds = use.slots * (use.until_s - use.began_s)
    return min(1.0, use.script_s / seconds) if seconds > 0 else 0.0


def waiting_share(view: RunView) -> float:
    """Return the share of the traces' time that they waited at merges, 0..1."""
    use = view.slot_use
    seconds = view.n_traces * (use.until_s - use.began_s) if use else 0.0
    return min(1.0, use.waited_s / seconds) if use and seconds > 0 else 0.0


def describe_slot_use(view: RunView) -> str:
    """Say in one sentence how busy the slots were; empty before the first merge."""
    use = view.slot_use
    if use is None or use.until_s <= use.began_s:
        return ""
    text = f"scripts ran {busy_share(use):.0%} of the time of {format_plural(use.slots, 'slot')}"
    if view.n_traces < 2:
        return text
    return f"{text}; traces waited for one another {waiting_share(view):.0%} of theirs"
