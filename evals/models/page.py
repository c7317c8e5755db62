"""The page of a study: ranks and costs, every cell, curves; or that it was not run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from evals.harness.pages import table_head, table_row
from evals.harness.provenance import provenance_note
from evals.models.curves import curves_by_executions, curves_by_seconds, draw_curves
from evals.models.endpoint import is_here
from evals.models.study import CellResult, StudyError, Terms
from evals.suite.ranks import rank_values
from reasoner.chat.endpoint.faults import hide_secrets
from report.formatting import clean_text

PAGE, FIGURE = "models.md", "models.png"
TITLE = "# Models on the same tasks: Gome, AIDE and a bare coding agent\n"
ABOUT = """\
`python -m evals.models` gives one model to several contestants: Gome, with its defaults or a
preset, AIDE, and a bare coding agent (one conversation with a shell). They get the same tasks,
seconds and tokens, the same sandbox without network, and are graded by Gome's grader on answers
that none of them can reach. How to run it:
[Models and endpoints](../models.md#compare-models-and-agents).
"""
NOT_RUN = """\
**Not run.** No model's figures are here: the protocol was tried from end to end against a scripted
endpoint, whose answers say nothing about a model. `python -m evals.models --model NAME --tasks
tuning --publish` writes this page.
"""
TRIAL = """\
**Scripted answers: a trial of the protocol.** The endpoint says that its answers were written
beforehand. No figure below is a model's.
"""
UNNAMED = """\
**Not to be published.** The endpoint was on this machine, and nobody said what serves which model
there (`--served`): the answers may have been no model's.
"""


def render_page(terms: Terms | None, results: Sequence[CellResult], command: str = "") -> str:
    """Return the page of a study; without results, that it was not run."""
    if terms is None or not results:
        return "\n".join([TITLE, NOT_RUN, ABOUT])
    is_unnamed = is_here(terms.endpoint) and not terms.served
    first = UNNAMED if is_unnamed else first_sentence(terms, results)
    if any(one.is_scripted for one in results):
        first = TRIAL
    served = f", served by {terms.served}" if terms.served else ""
    budget = terms.budget
    given = hide_secrets(", ".join(f"{name}={value}" for name, value in terms.settings.items()))
    parts = [
        TITLE,
        first,
        ABOUT,
        f"Model {terms.model} at {terms.endpoint}{served}; {budget.seconds:.0f} s and"
        f" {budget.tokens:,} tokens a cell, at most {budget.steps} steps"
        f"{'; ' + given if given else ''}.\n",
        *rank_table(terms, results),
        "",
        *cell_table(results),
        "",
        CURVES_TOLD,
        measured_note(results, command),
    ]
    return "\n".join(parts)


CURVES_TOLD = """\
*Early* is the mean, over the seconds or executions, of the private score of what would have been
handed over at that time: 0 the sample submission, 1 the best that any contestant handed over.
Executions are Gome's and AIDE's scripts, and the bare agent's commands. Dollars are those of the
price table or of the endpoint's own account; *–*: neither is known.
"""


def first_sentence(terms: Terms, results: Sequence[CellResult]) -> str:
    """Return the answer: who is ahead, on how many tasks."""
    ranks = mean_ranks(results)
    n_tasks = len(complete_tasks(results))
    order = sorted(ranks, key=lambda name: ranks[name])
    told = ", ".join(f"{name} {ranks[name]:.2f}" for name in order)
    return f"**Mean rank over {n_tasks} tasks with {terms.model}: {told}** (1 is the best).\n"


def complete_tasks(results: Sequence[CellResult]) -> list[str]:
    """Return the tasks that all contestants have finished."""
    names = {one.contestant for one in results}
    by_task: dict[str, set[str]] = {}
    for one in results:
        by_task.setdefault(one.task, set()).add(one.contestant)
    return [task for task, own in by_task.items() if own == names]


def mean_ranks(results: Sequence[CellResult]) -> dict[str, float]:
    """Return contestant -> mean rank over the tasks that all have; the mean over seeds is ranked.

    A seed without a valid submission puts the contestant last.
    """
    names = list(dict.fromkeys(one.contestant for one in results))
    ranks: dict[str, list[float]] = {name: [] for name in names}
    for task in complete_tasks(results):
        values = [comparable(task, name, results) for name in names]
        for name, rank in zip(names, rank_values(values), strict=True):
            ranks[name].append(rank)
    return {name: mean(own) for name, own in ranks.items() if own}


def comparable(task: str, contestant: str, results: Sequence[CellResult]) -> float:
    """Return a contestant's mean private score on a task, higher is better."""
    own = [one for one in results if (one.task, one.contestant) == (task, contestant)]
    scores = [one.private for one in own if one.private is not None]
    if len(scores) < len(own):
        return float("-inf")
    return mean(scores) * (1 if own[0].direction == "max" else -1)


def rank_table(terms: Terms, results: Sequence[CellResult]) -> list[str]:
    """Return the table of contestants: rank, costs, how early."""
    head = ["contestant", "mean rank", "no result", "calls", "tokens", "of them cached", "USD"]
    lines = table_head([*head, "script s", "early by seconds", "early by executions"])
    ranks = mean_ranks(results)
    by_s = curves_by_seconds(results, terms.budget.seconds)
    by_n = curves_by_executions(results)
    for name in by_s:
        own = [one for one in results if one.contestant == name]
        usage = [one.usage for one in own]
        cells = [
            name,
            f"{ranks[name]:.2f}" if name in ranks else "–",
            f"{sum(one.private is None for one in own)} of {len(own)}",
            f"{mean(u.calls for u in usage):.0f}",
            f"{mean(u.input_tokens + u.output_tokens for u in usage):,.0f}",
            f"{mean(u.cached_tokens for u in usage):,.0f}",
            format_usd([u.usd for u in usage]),
            f"{mean(one.script_s for one in own):.0f}",
            f"{mean(by_s[name]):.2f}",
            f"{mean(by_n[name]):.2f}",
        ]
        lines.append(table_row(cells))
    return lines


def format_usd(amounts: Sequence[float | None]) -> str:
    """Return the mean of dollars; a dash where one is not known."""
    known = [usd for usd in amounts if usd is not None]
    return f"{mean(known):.3f}" if known and len(known) == len(amounts) else "–"


def cell_table(results: Sequence[CellResult]) -> list[str]:
    """Return the table of all cells."""
    head = ["task", "metric", "contestant", "seed", "private score", "seconds", "executions"]
    lines = table_head([*head, "calls", "tokens", "ended by"])
    for one in results:
        arrow = "↑" if one.direction == "max" else "↓"
        failure = clean_text(one.failure, 80).replace("|", "/")
        cells = [
            one.task,
            f"{Path(one.metric).name} {arrow}",
            one.contestant,
            str(one.seed),
            f"{one.private:.5g}" if one.private is not None else f"none: {failure}",
            f"{one.seconds:.0f}",
            str(one.executions),
            str(one.usage.calls),
            f"{one.usage.input_tokens + one.usage.output_tokens:,}",
            clean_text(one.end, 60).replace("|", "/"),
        ]
        lines.append(table_row(cells))
    return lines


def measured_note(results: Sequence[CellResult], command: str) -> str:
    """Return what was measured when, and by which command."""
    commits = ", ".join(sorted({one.commit for one in results}))
    dates = sorted({one.date for one in results})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured {when} at {commits}. {provenance_note(command)}"


def write_page(folder: Path, terms: Terms, results: Sequence[CellResult], command: str) -> Path:
    """Write the page of a study beside its cells, with the figure where matplotlib is."""
    text = render_page(terms, results, command)
    try:
        draw_curves(folder / FIGURE, results, terms.budget.seconds)
        text += f"\n![Score against seconds and executions]({FIGURE})\n"
    except ImportError:
        text += "\n(No figure: matplotlib is not installed.)\n"
    (folder / PAGE).write_text(text)
    return folder / PAGE


def publish_page(
    folder: Path, terms: Terms, results: Sequence[CellResult], command: str, out: Path
) -> Path:
    """Write the page of a real model's study to the documentation.

    Raises StudyError where the answers were, or may have been, no model's.
    """
    if not results:
        raise StudyError(f"{folder} has no finished cell to publish")
    if any(one.is_scripted for one in results):
        raise StudyError(
            "the answers were scripted: they are no model's figures, and are not published"
        )
    if is_here(terms.endpoint) and not terms.served:
        raise StudyError(
            f"{terms.endpoint} is this machine: say what serves which model there, such as"
            ' --served "vLLM 0.11, Qwen3-32B"; its page names it'
        )
    return write_page(out, terms, results, command)
