"""Facts that the report states, prepared here so that the template contains no logic."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from report.artifact_texts import parse_json, read_text
from report.budget_use import measure_budgets
from report.detail import MAX_SETUP_BYTES
from report.formatting import (
    bounded_list,
    clean_text,
    decimal_places,
    format_age,
    format_comparison,
    format_duration,
    format_plural,
    format_score,
)
from report.harness_work import (
    baseline_sentence,
    describe_average,
    rehearsal_lines,
    rehearsal_sentence,
)
from report.label_checks import describe_label_check
from report.ledger_rows import LedgerFacts, ledger_facts
from report.lineage import BestStory, tell_story
from report.model import VERDICTS, MadeView, RunView
from report.page_tables import (
    CalibrationFacts,
    CostRow,
    FinalistRow,
    LabelledRow,
    MemoryFacts,
    ReadFacts,
    SettingRow,
    calibration_facts,
    cost_rows,
    describe_blend,
    environment_rows,
    finalist_rows,
    memory_facts,
    read_facts,
    setting_rows,
    task_rows,
)
from report.payload import audit_scores
from report.plots.panels import load_importances, load_panels
from report.probe_rows import ProbeRow, probe_rows
from report.score_curve import describe_curve
from report.slot_use import describe_slot_use
from report.summary import ENDINGS, RESUMABLE, describe_best_change

STATES = {
    "running": "Running",
    "lost": "Not responding",
    "interrupted": "Interrupted",
    "stopped": "Stopped",
    "paused": "Paused",
    "waiting": "Waiting for an answer",
    "error": "No valid script",
}


@dataclass(frozen=True)
class HandedFiles:
    """Paths of submission and solution, and whether they are final."""

    submission: str
    solution: str
    status: str


@dataclass(frozen=True)
class VerdictShare:
    """Number of attempts with a verdict; `x` and `width` place its bar on a scale of 100."""

    name: str
    n: int
    x: float
    width: float


@dataclass(frozen=True)
class BudgetBar:
    """A budget as text, with its used share in percent; None where there is no limit."""

    name: str
    text: str
    share: float | None


@dataclass(frozen=True)
class ActivityRow:
    """Current activity of one trace."""

    trace: int
    step: int
    activity: str
    elapsed: str
    progress: str
    hypothesis: str


@dataclass(frozen=True)
class PageFacts:
    """Everything that `page.html.j2` states."""

    run: str
    task: str
    metric: str
    direction: str
    state: str
    state_text: str
    ending: str
    resume: str
    best: str
    best_se: str
    certainty: list[str]
    best_change: str
    files: HandedFiles | None
    n_attempts: int
    verdicts: list[VerdictShare]
    budgets: list[BudgetBar]
    activities: list[ActivityRow]
    warnings: list[str]
    merges: list[tuple[int, tuple[str, ...]]]
    ledger: LedgerFacts
    memory: MemoryFacts
    finalists: list[FinalistRow]
    blend: str
    average: str
    calibration: CalibrationFacts | None
    costs: list[CostRow]
    baseline: str
    curve: str
    slot_use: str
    rehearsals: str
    rehearsal_lines: list[str]
    task_rows: list[LabelledRow]
    read: ReadFacts
    made: list[MadeView]
    probes: list[ProbeRow]
    notes: list[str]
    settings: list[SettingRow]  # at their defaults, or all of a run that stored no defaults
    changed: list[SettingRow]
    story: BestStory | None
    plots: str
    environment: list[LabelledRow]


def report_facts(view: RunView, run_dir: Path, state: str, now: float) -> PageFacts:
    """Collect the facts of a run in a `state` (see `run_state`) at `now`."""
    meta = parse_json(read_text(run_dir / "run.json"))
    setup = parse_json(read_text(run_dir / "setup.json", MAX_SETUP_BYTES))
    merges = [(merge.round, merge.actions) for merge in view.merges if merge.actions]
    settings = setting_rows(view, meta)
    can_resume = state in (*RESUMABLE, "lost")
    return PageFacts(
        run=view.run or run_dir.name,
        task=view.task or run_dir.name,
        metric=view.metric,
        direction="higher is better" if view.rising else "lower is better",
        state=state,
        state_text=STATES.get(state, "Finished"),
        ending=describe_ending(view, state, now),
        resume=f"gome resume {shlex.quote(str(run_dir))}" if can_resume else "",
        best=format_score(view.best_attempt.score) if view.best_attempt else "",
        best_se=best_error_text(view),
        certainty=certainty_lines(view),
        best_change=describe_best_change(view),
        files=handed_files(view, run_dir),
        n_attempts=len(view.attempts),
        verdicts=verdict_shares(view),
        budgets=budget_bars(view, now),
        activities=activity_rows(view, now) if state == "running" else [],
        warnings=list(view.warnings[-20:]),
        merges=merges[-50:],
        ledger=ledger_facts(view),
        memory=memory_facts(view),
        finalists=finalist_rows(view),
        blend=describe_blend(view),
        average=describe_average(view),
        calibration=calibration_facts(view),
        costs=cost_rows(view),
        baseline=baseline_sentence(view),
        curve=describe_curve(view),
        slot_use=describe_slot_use(view),
        rehearsals=rehearsal_sentence(view),
        rehearsal_lines=rehearsal_lines(view),
        task_rows=task_rows(view, setup),
        read=read_facts(meta),
        made=list(view.made),
        probes=probe_rows(view, run_dir),
        notes=[clean_text(note, 300) for note in bounded_list(view.profile.get("notes"))],
        settings=[row for row in settings if not row.default],
        changed=[row for row in settings if row.default],
        story=tell_story(view),
        plots=describe_plots(view, run_dir),
        environment=environment_rows(view, meta, setup),
    )


def describe_ending(view: RunView, state: str, now: float) -> str:
    """Say how the run ended, or since when it has not responded."""
    if view.ended is not None:
        message = clean_text(view.ended.get("message"), 400)
        return message[:1].upper() + message[1:] if message else ENDINGS.get(state, state)
    if state == "lost" and view.last is not None:
        age = format_age(now - view.last)
        return f"The last event came {age} and the process is gone. Finished work is kept."
    return ""


def best_error_text(view: RunView) -> str:
    """Standard error of the best score, with as many decimals as the score shows."""
    best = view.best_attempt
    if best is None or best.score_se is None:
        return ""
    return f"{best.score_se:.{decimal_places(best.score, best.score_se)}f}"


def certainty_lines(view: RunView) -> list[str]:
    """Say how certain the best score is: spread over folds, lead over the first draft, audit."""
    best, lines = view.best_attempt, []
    if best is None or best.score is None:
        return []
    if best.score_se and best.folds:
        low, high = format_score(min(best.folds)), format_score(max(best.folds))
        n_folds = format_plural(len(best.folds), "fold")
        lines.append(f"± is one standard error; {n_folds} from {low} to {high}")
    if view.first is not None and view.total_gain is not None:
        first = f"the first draft ({format_score(view.first.score)})"
        lines.append(format_comparison(view.total_gain, first, rising=view.rising))
    audit = audit_scores(view).get(best.id) if view.ended is not None else None
    if audit is not None:
        lines.append(f"{format_score(audit)} on audit rows hidden from every script and model")
    if check := view.label_checks.get(best.id):
        found = describe_label_check(check)
        lines.append(f"so far above a plain model that it was checked: {found}")
    if appeal := view.appeals.get(best.id):
        lines.append(clean_text(appeal.get("message"), 400))
    return lines


def handed_files(view: RunView, run_dir: Path) -> HandedFiles | None:
    """Return submission and solution in the run folder; None where there are none yet."""
    submission, solution = (run_dir / "best" / name for name in ("submission.csv", "solution.py"))
    if not submission.is_file():
        return None
    state = "final" if view.final else "best so far, not final"
    return HandedFiles(
        str(submission),
        str(solution) if solution.is_file() else "",
        state if view.best_attempt else "the baseline",
    )


def describe_plots(view: RunView, run_dir: Path) -> str:
    """Say what the plots show; empty where there are none."""
    if not load_panels(view, run_dir) and not load_importances(view, run_dir):
        return ""
    return f"Out-of-fold predictions of {view.best}, counted by the harness against the labels."


def verdict_shares(view: RunView) -> list[VerdictShare]:
    """Count the attempts by verdict, as parts of a stacked bar."""
    shares: list[VerdictShare] = []
    x = 0.0
    for name in VERDICTS:
        n = sum(attempt.verdict == name for attempt in view.attempts.values())
        width = 100 * n / max(len(view.attempts), 1)
        shares.append(VerdictShare(name, n, round(x, 3), round(width, 3)))
        x += width
    return shares


def budget_bars(view: RunView, now: float) -> list[BudgetBar]:
    """Return the budgets with their used shares."""
    bars: list[BudgetBar] = []
    for budget in measure_budgets(view, now):
        text = budget.text
        if budget.name == "time" and view.finalize_reserve_s and view.ended is None:
            text += f", {format_duration(view.finalize_reserve_s)} reserved for finalize"
        share = round(100 * min(budget.used / budget.limit, 1), 2) if budget.limit else None
        bars.append(BudgetBar(budget.name, text, share))
    return bars


def activity_rows(view: RunView, now: float) -> list[ActivityRow]:
    """Return what each trace does at the moment."""
    return [
        ActivityRow(
            trace=trace.id,
            step=trace.step,
            activity=trace.activity or trace.status,
            elapsed=format_duration(now - trace.since) if trace.since is not None else "",
            progress=trace.progress,
            hypothesis=trace.hypothesis,
        )
        for trace in list(view.traces.values())[:64]
    ]
