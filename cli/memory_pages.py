"""What `gome memory` prints: a table with one line per claim, and the page of one record.

A claim is a hypothesis in the same words, however often and on whatever tasks it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from cli.console import echo_table, open_console
from memory.protocol import Record
from memory.recall import hypothesis_key
from memory.trust import confirmed_mask, gain_z_score, trust_level
from report.formatting import (
    clean_text,
    format_benefit,
    format_improvement,
    format_plural,
    name_metric,
)

WIDE_COLUMNS = 110
ID_CHARS = 8
TASK_CHARS = 14
MAX_OTHERS = 20
TRUST_WORDS = {
    "weak": "weak: one measurement within 1.64 standard errors; no hint until others agree",
    "quarantined": "set aside: too good to be believed before a second run agrees",
}


@dataclass(frozen=True)
class Claim:
    """The measurements of one hypothesis, newest first."""

    records: tuple[Record, ...]

    @property
    def latest(self) -> Record:
        """The newest measurement."""
        return self.records[0]

    @property
    def n_helped(self) -> int:
        """How many measurements were accepted."""
        return sum(record.kind == "accepted" for record in self.records)

    @property
    def is_confirmed(self) -> bool:
        """Whether any of its accepted measurements may be offered as a hint."""
        accepted = [record for record in self.records if record.kind == "accepted"]
        return any(confirmed_mask(accepted, [""] * len(accepted)))


def group_claims(records: Sequence[Record]) -> list[Claim]:
    """Group records by the words of their hypotheses; both orders stay."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(hypothesis_key(record), []).append(record)
    return [Claim(tuple(group)) for group in groups.values()]


def print_claims(claims: Sequence[Claim], similarity: Mapping[str, float] | None = None) -> None:
    """Print one line per claim; `similarity` by record id adds a first column."""
    console = open_console()
    echo_table(claims_table(claims, console.width, similarity), console)


def claims_table(
    claims: Sequence[Claim], width: int, similarity: Mapping[str, float] | None = None
) -> Table:
    """Table of claims: latest id, date, task, share that helped, latest gain, and words."""
    is_wide = width >= WIDE_COLUMNS
    table = Table(
        box=None, padding=(0, 1, 0, 0), header_style="bright_black", pad_edge=False, expand=True
    )
    titles = ["similar"] * (similarity is not None) + ["id", "date", "task", "helped", "gain"]
    for title in titles:
        table.add_column(title, no_wrap=True, justify="right" if title == "helped" else "left")
    table.add_column("hypothesis", ratio=1, no_wrap=True, overflow="ellipsis")
    for claim in claims:
        record = claim.latest
        near = [] if similarity is None else [f"{similarity[record.id]:.2f}"]
        cells = [
            *near,
            record.id[:ID_CHARS],
            format_date(record, short=not is_wide),
            describe_tasks(claim, TASK_CHARS if is_wide else TASK_CHARS - 4),
            f"{claim.n_helped}/{len(claim.records)}",
            describe_gain(record, with_error=is_wide),
        ]
        colour = "green" if record.kind == "accepted" else "bright_black"
        styles = [""] * (len(cells) - 1) + [colour]
        words = clean_text(record.hypothesis, 300)
        if claim.n_helped and not claim.is_confirmed:
            words = f"[{trust_level(record)}] {words}"
        table.add_row(*map(Text, cells, styles), Text(words))
    return table


def format_date(record: Record, *, short: bool = False) -> str:
    """Format when it was measured: `2026-11-28 10:39`, or `28 Nov` within a year."""
    try:
        moment = datetime.fromisoformat(record.created).astimezone(UTC)
    except ValueError:
        return "–"
    if not short:
        return f"{moment:%Y-%m-%d %H:%M}"
    is_recent = (datetime.now(UTC) - moment).days < 300
    return f"{moment:%d %b}" if is_recent else f"{moment:%b %Y}"


def name_task(record: Record) -> str:
    """Return the task's name; without one the beginning of the data's fingerprint."""
    return clean_text(record.task, 60) or f"data {record.task_hash[:5]}…"


def describe_tasks(claim: Claim, limit: int) -> str:
    """Name the latest task, and how many others the claim was measured on."""
    name = clean_text(name_task(claim.latest), limit)
    n_others = len({record.task_hash for record in claim.records}) - 1
    return f"{name} +{n_others}" if n_others else name


def describe_gain(record: Record, *, with_error: bool = True) -> str:
    """Describe a gain in the metric's unit and direction: `lower by 6.6 ± 1.7 rmse`."""
    se = record.gain_se if with_error else None
    if record.direction:
        gain = format_improvement(record.gain, se, rising=record.direction == "max")
    else:
        gain = format_benefit(record.gain, se)
    return f"{gain} {clean_text(name_metric(record.metric), 40)}"


def record_page(record: Record, others: Sequence[Record]) -> str:
    """Return one record in full; `others` are further measurements of the same claim."""
    sure = f"{abs(gain_z_score(record)):.1f} standard errors"
    fields = [
        ("because", record.challenge),
        ("result", f"{record.kind}: {describe_gain(record)} ({sure})"),
        ("trust", TRUST_WORDS.get(trust_level(record), "")),
        ("task", f"{name_task(record)}, {record.task_kind or 'of an unknown kind'}"),
        ("conditions", record.context),
        ("component", record.component + (f", move {record.move}" if record.move else "")),
        ("run", f"{record.run}, trace {record.trace}, step {record.step}"),
        ("reasoner", record.reasoner),
        ("measured", f"{format_date(record)} UTC"),
        ("data", record.task_hash),
        ("id", record.id),
    ]
    lines = [clean_text(record.hypothesis, 2000), ""]
    lines += [f"  {label:<11} {clean_text(text, 2000)}" for label, text in fields if text]
    if others:
        lines += ["", f"Measured {format_plural(len(others), 'more time')}:"]
        lines += [f"  {_other_line(other)}" for other in others[:MAX_OTHERS]]
    if record.diff:
        lines += ["", clean_text(record.diff, 20_000, lines=True)]
    return "\n".join(lines)


def _other_line(record: Record) -> str:
    return (
        f"{record.id[:ID_CHARS]}  {format_date(record)}  {name_task(record)}: {record.kind},"
        f" {describe_gain(record)}"
    )
