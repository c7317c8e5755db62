"""The facts that the report states in words: prepared here, so that the template holds no thought."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from report import formatting as words
from report.artifacts import parse_json, read_text
from report.budget import budgets
from report.calibration import Row, calibrate
from report.detail import hint, mapped, short
from report.formatting import clean, duration, gain, money, number, score
from report.model import RunView
from report.payload import audit, contest
from report.summary import ENDINGS, RESUMABLE, helped_most

Rows = list[tuple[str, str]]
STATES = {
    "running": "Running",
    "lost": "No sign of life",
    "interrupted": "Interrupted",
    "stopped": "Stopped",
    "error": "Stopped by an error",
}


def facts(view: RunView, run_dir: Path, state: str, now: float) -> dict[str, Any]:
    """Everything that the template shows."""
    meta = parse_json(read_text(run_dir / "run.json"))
    setup = parse_json(read_text(run_dir / "setup.json", 4 * 2**20))
    return {
        "run": view.run or run_dir.name,
        "task": view.task or run_dir.name,
        "metric": view.metric,
        "direction": "higher is better" if view.rising else "lower is better",
        "state": state,
        "state_text": STATES.get(state, "Finished"),
        "ended": ending(view, state, now),
        "resume": f"gome resume {shlex.quote(str(run_dir))}"
        if state in (*RESUMABLE, "lost")
        else "",
        "best": score(view.best_attempt.score) if view.best_attempt else "",
        "best_se": error(view),
        "best_id": view.best or "",
        "sure": sure(view),
        "helped": helped_most(view),
        "submission": submission(view, run_dir),
        "verdicts": verdicts(view),
        "budgets": bars(view, now),
        "now": going_on(view, now) if state == "running" else [],
        "warnings": list(view.warnings[-20:]),
        "merges": [(m.round, list(m.actions)) for m in view.merges if m.actions][-50:],
        "memory": memory(view),
        "finale": finale(view),
        "blended": blended(view),
        "calibration": calibrated(view),
        "cost": cost(view),
        "task_rows": task_rows(view, setup),
        "notes": [clean(note, 300) for note in listed(view.profile.get("notes"))],
        "settings": [
            (clean(key, 60), "–" if value in (None, [], "") else short(value))
            for key, value in sorted(view.settings.items())
        ],
        "environment": environment(view, meta, setup),
        "written": clean(meta.get("created"), 40),
    }


def listed(value: object) -> list[Any]:
    return value[:30] if isinstance(value, list) else []


def ending(view: RunView, state: str, now: float) -> str:
    """How it ended, or how long nothing was heard of it."""
    if view.ended is not None:
        said = clean(view.ended.get("message"), 400)
        return said[:1].upper() + said[1:] if said else ENDINGS.get(state, state)
    if state == "lost" and view.last is not None:
        return f"The last event came {words.ago(now - view.last)}; the process is gone. What was finished is kept."
    return ""


def error(view: RunView) -> str:
    best = view.best_attempt
    if best is None or best.score_se is None:
        return ""
    return f"{best.score_se:.{words.places(best.score, best.score_se)}f}"


def sure(view: RunView) -> list[str]:
    """How sure the best score is: its interval, its lead over the first draft, and what the audit says of it."""
    best, told = view.best_attempt, []
    if best is None or best.score is None:
        return []
    if best.score_se and best.folds:
        told.append(
            f"± is one standard error; {words.plural(len(best.folds), 'fold')} from {score(min(best.folds))} to {score(max(best.folds))}"
        )
    if view.first is not None and view.first.id != best.id:
        told.append(f"{gain(view.total_gain)} against the first draft ({score(view.first.score)})")
    known = audit(view).get(best.id) if view.ended is not None else None
    if known is not None:
        told.append(f"{score(known)} on audit rows that no script and no model ever saw")
    return told


def finale(view: RunView) -> list[dict[str, str]]:
    """The candidates of the final choice: scores under several seeds, and on the audit rows."""
    rows = [row for row in contest(view) if isinstance(row, dict)] if view.ended is not None else []
    return [
        {
            "id": clean(row.get("attempt"), 100),
            "mean": score(number(row.get("mean")), number(row.get("se")) or None),
            "seeds": str(len(listed(row.get("scores")))),
            "audit": score(number(row.get("audit"))),
            "chosen": "chosen" if row.get("attempt") == (view.final or {}).get("chosen") else "",
        }
        for row in rows
    ]


def blended(view: RunView) -> str:
    """Whether the blend of solutions was handed over, where there was one."""
    found = mapped((view.final or {}).get("ensemble"))
    if not found or view.ended is None:
        return ""
    verdict = (
        "was handed over: it is better than the best single solution"
        if found.get("wins")
        else "was not better than the best single one"
    )
    return f"The blend of accepted solutions ({clean(found.get('attempt'), 100)}, {score(number(found.get('score')))}) {verdict}."


def submission(view: RunView, run_dir: Path) -> dict[str, str] | None:
    path = run_dir / "best" / "submission.csv"
    if not path.is_file():
        return None
    return {
        "path": str(path),
        "solution": str(path.with_name("solution.py")),
        "final": "final" if view.final else "best so far, not final",
    }


def verdicts(view: RunView) -> dict[str, Any]:
    """Counts by verdict with the shares of a stacked bar."""
    attempts = list(view.attempts.values())
    counts = [
        (v, sum(a.verdict == v for a in attempts))
        for v in ("accepted", "tie", "rejected", "failed")
    ]
    parts, at = [], 0.0
    for name, n in counts:
        width = 100 * n / max(len(attempts), 1)
        parts.append({"name": name, "n": n, "x": round(at, 3), "width": round(width, 3)})
        at += width
    return {"n": len(attempts), "parts": parts}


def bars(view: RunView, now: float) -> list[dict[str, Any]]:
    """Budgets with the share that is used; None where there is no limit."""
    rows = budgets(view, now)
    kept = (
        f", {duration(view.kept_s)} kept for the finale"
        if view.kept_s and view.ended is None
        else ""
    )
    return [
        {
            "name": b.name,
            "text": b.text + kept * (b.name == "time"),
            "share": round(100 * min(b.used / b.limit, 1), 2) if b.limit else None,
        }
        for b in rows
    ]


def going_on(view: RunView, now: float) -> list[dict[str, str]]:
    """What each trace does at this moment."""
    return [
        {
            "trace": str(t.id),
            "step": str(t.step),
            "activity": t.activity or t.status,
            "since": duration(now - t.since) if t.since is not None else "",
            "progress": t.progress,
            "hypothesis": t.hypothesis,
        }
        for t in list(view.traces.values())[:64]
    ]


def memory(view: RunView) -> dict[str, Any]:
    """What was recalled, strongest first, and how the steps fared that were given something."""
    given = {place: hints for place, hints in view.recalls.items() if hints}
    places = {(a.trace, a.step): a for a in view.attempts.values()}
    served = [places[place] for place in given if place in places]
    strongest: dict[str, dict[str, Any]] = {}
    for hints in given.values():
        for found in map(hint, hints):
            old = strongest.get(found["hypothesis"])
            if old is None or abs(found["weight"] or 0) > abs(old["weight"] or 0):
                strongest[found["hypothesis"]] = found | {
                    "gain_text": gain(found["gain"], found["gain_se"])
                }
    top = sorted(strongest.values(), key=lambda h: -abs(h["weight"] or 0))[:12]
    return {
        "place": view.memory,
        "steps": len(served),
        "accepted": sum(a.verdict == "accepted" for a in served),
        "asked": len(view.recalls),
        "top": [
            h | {"weight_text": f"{h['weight'] or 0:+.2f}".replace("-", words.MINUS)} for h in top
        ],
    }


def calibrated(view: RunView) -> dict[str, Any] | None:
    found = calibrate(view)
    if found is None:
        return None
    return {
        "n": found.n,
        "helped": found.helped,
        "brier": f"{found.brier:.3f}",
        "constant": f"{found.brier_constant:.3f}",
        "size_right": found.size_right,
        "tables": [
            ("stated confidence", [shown(r, band(r.key)) for r in found.by_confidence]),
            ("component", [shown(r, r.key) for r in found.by_component]),
        ],
    }


def shown(row: Row, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "n": row.n,
        "said": f"{row.confidence:.0%}".replace("%", " %"),
        "rate": f"{row.rate:.0%}".replace("%", " %"),
        "share": round(100 * row.rate, 2),
        "expected": round(100 * row.confidence, 2),
        "z": f"{row.z:+.1f}".replace("-", words.MINUS),
    }


def band(key: str) -> str:
    """`0.3-0.5` as `30–50 %`."""
    return "–".join(f"{float(bound):.0%}".removesuffix("%") for bound in key.split("-")) + " %"


def cost(view: RunView) -> list[tuple[str, str, str, str]]:
    """(activity, seconds, tokens, money) by what was done."""
    rows = []
    for activity, seconds in sorted(view.seconds.items(), key=lambda item: -item[1]):
        spent = view.spent.get(activity)
        tokens = words.count(spent.tokens) if spent and spent.tokens else "–"
        rows.append((activity, duration(seconds), tokens, money(spent.usd) if spent else "–"))
    return rows


def task_rows(view: RunView, setup: dict[str, Any]) -> Rows:
    split = view.profile.get("split")
    said = mapped(split)
    column = f" by {clean(said.get('column'), 60)}" if said.get("column") else ""
    folds = f", {said.get('n_folds')} folds" if number(said.get("n_folds")) else ""
    counts: Rows = [
        (label, f"{int(n):,}") for label, key in (("training rows", "n_train"), ("test rows", "n_test"), ("hidden audit rows", "n_audit"))
        if (n := number(view.profile.get(key))) is not None
    ]  # fmt: skip
    scheme = f"{clean(said.get('kind'), 40)}{column}{folds}" if said else clean(split, 80)
    target = mapped(mapped(setup.get("profile")).get("target"))
    kind = clean(target.get("kind"), 30)
    return [
        *counts,
        *((("split", scheme),) if scheme else ()),
        *((("target", f"{clean(target.get('name'), 80)} ({kind})"),) if kind else ()),
    ]


def environment(view: RunView, meta: dict[str, Any], setup: dict[str, Any]) -> Rows:
    """Sandbox tier, reasoner, machine and versions."""
    held = setup.get("enforced")
    rows: Rows = [
        ("sandbox tier", view.sandbox or clean(setup.get("tier"), 40)),
        (
            "scripts are held to",
            ", ".join(clean(one, 40) for one in held[:20]) if isinstance(held, list) else "",
        ),
        ("sandbox", clean(setup.get("notice"), 1000).removeprefix("Sandbox: ")),
        ("reasoner", view.reasoner),
        ("memory", view.memory),
    ]
    if number(setup.get("cpus")):
        rows.append(("cores for a script", short(setup.get("cpus"))))
    rows.append(("GPUs", short(setup.get("gpus")) or "none"))
    rows += [
        ("Python", clean(meta.get("python"), 40)),
        ("platform", clean(meta.get("platform"), 120)),
    ]
    rows += [
        (clean(name, 60), clean(value, 40))
        for name, value in list(mapped(meta.get("versions")).items())[:40]
    ]
    rows += [("task folder", clean(meta.get("task"), 400)), ("sessions", str(view.n_resumed + 1))]
    return [(label, text) for label, text in rows if text]
