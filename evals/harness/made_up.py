"""A synthetic run as its events, for the tests of console, tables and report.

Deterministic for a seed, of any length, with hostile text in names, logs and evidence.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> [bold red]markup[/] "
    "\x1b[31mred\x1b[0m \x07 \u202eevil"
)
IDEAS = [
    (
        "features",
        "Encode city by its mean target over the other folds: "
        "300 levels carry signal that one-hot columns dilute",
    ),
    (
        "model",
        "Lower the learning rate to 0.03 and train 900 rounds: "
        "the loss still falls at the last round",
    ),
    (
        "data",
        "Drop refund_date: it is only filled after the outcome and drifts between train and test",
    ),
    (
        "ensemble",
        "Blend the boosted trees with a regularised linear model: "
        "their errors correlate at 0.81 only",
    ),
    ("workflow", "Predict the logarithm of the price: the residuals grow with it"),
]
START_T = 1_790_000_000.0
Event = dict[str, Any]


class TraceBest(NamedTuple):
    """The best attempt of a trace."""

    attempt: str
    score: float
    script: str


class StepKey(NamedTuple):
    """One step of a trace; its attempt is named after it."""

    trace: int
    step: int

    @property
    def attempt(self) -> str:
        """The attempt's id."""
        return f"t{self.trace}s{self.step}"


BASE = "import pandas as pd\nfrom lightgbm import LGBMClassifier\n\n"
BASE += "train = pd.read_csv('input/train.csv')\nmodel = LGBMClassifier(n_estimators=100)\n"


class EventStream:
    """Events with a clock; with a folder, their artifacts too."""

    def __init__(self, folder: Path | None, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.t = START_T
        self.events: list[Event] = []

    def put(self, ev: str, passed_s: float = 0.05, /, **fields: Any) -> None:
        """Append an event `passed_s` seconds after the last one."""
        self.t += passed_s
        self.events.append({"t": round(self.t, 3), "ev": ev, **fields})

    def store(self, text: str) -> str:
        """Write an artifact where there is a folder; return its reference."""
        ref = hashlib.sha256(text.encode()).hexdigest()
        if self.folder is not None:
            path = self.folder / "artifacts" / ref[:2] / ref
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return ref


def random_usage(rng: random.Random) -> dict[str, Any]:
    """Return tokens and price of one model call."""
    return {
        "calls": 1,
        "input_tokens": rng.randint(2000, 9000),
        "output_tokens": rng.randint(300, 2000),
        "usd": 0.0123,
    }


def put_run_start(stream: EventStream, traces: int, steps: int) -> None:
    """Append the events up to the first draft."""
    stream.put(
        "run_started",
        run="20261124-made-up",
        task="city-prices",
        metric="auc",
        direction="max",
        sandbox="bubblewrap",
        schema=1,
        traces=traces,
        steps=steps,
        time_s=600,
        reasoner="chat:some-model",
        memory="on (12 successes)",
        settings={"traces": traces, "accept_z": 1.0, "audit": True},
    )
    stream.put(
        "profile",
        0.8,
        n_train=8000,
        n_test=2000,
        n_audit=800,
        split="stratified, 5 folds",
        notes=["refund_date looks leaky"],
    )


def put_step(stream: EventStream, key: StepKey, best: dict[int, TraceBest], hostile: bool) -> None:
    """Append the events of one step, from the diagnosis to the attempt; update the trace's best."""
    rng = stream.rng
    at = key._asdict()
    component, idea = IDEAS[rng.randrange(len(IDEAS))]
    idea += HOSTILE if hostile and key.step == 1 else ""
    parent = best.get(key.trace)
    hypothesis = random_hypothesis(rng, key, component, idea)
    if parent:
        put_update(stream, key, parent, hypothesis)
    else:
        summary = f"draft {key.trace}: {idea}"
        stream.put(
            "drafted",
            1.0,
            **at,
            attempt=key.attempt,
            summary=summary,
            seconds=1.0,
            usage=random_usage(rng),
        )
    seconds, failed = put_execution(stream, key)
    gain = rng.gauss(0.003, 0.006) if parent else None
    score = parent.score + (gain or 0) if parent else rng.uniform(0.76, 0.79)
    verdict = "failed" if failed else verdict_of_gain(gain)
    script = changed_script(parent.script if parent else BASE, key, idea)
    record = described_change(key, parent, hypothesis, idea)
    record |= artifact_fields(stream, script, score, hostile)
    record |= {"verdict": verdict, "seconds": seconds, "usage": random_usage(rng)}
    record |= FAILED_FIELDS if failed else score_fields(rng, score, gain, verdict)
    stream.put("attempt", 0.2, **record)
    if record.get("replaces"):
        best[key.trace] = TraceBest(key.attempt, score, script[:4000])


def random_hypothesis(
    rng: random.Random, key: StepKey, component: str, idea: str
) -> dict[str, Any]:
    """Return a hypothesis with a random expected effect and confidence."""
    size, confidence = rng.choice(["small", "medium", "large"]), round(rng.uniform(0.2, 0.9), 2)
    return {
        "id": f"h{key.attempt}",
        "challenge": "city is diluted",
        "statement": idea,
        "component": component,
        "plan": "edit two lines",
        "effect": {"sign": 1, "size": size},
        "confidence": confidence,
        "cites": ["segments[0]"],
        "refuted_by": "no gain",
    }


def put_update(
    stream: EventStream, key: StepKey, parent: TraceBest, hypothesis: dict[str, Any]
) -> None:
    """Append diagnosis, recalled hints and the update that follows from them."""
    at = key._asdict()
    stream.put(
        "diagnosed",
        1.0,
        **at,
        observations=[OBSERVATION],
        causes=["high-cardinality column, one-hot"],
        hypotheses=[hypothesis, hypothesis],
        seconds=1.0,
        usage=random_usage(stream.rng),
    )
    hint = HINT | {"hypothesis": hypothesis["statement"]}
    card = {"id": "target-mean-smoothed", "title": "Smoothed target mean of a level"}
    stream.put("offered", 0.0, **at, recipes=[card | {"evidence": ""}])
    stream.put("recalled", 0.1, **at, hints=[hint, hint | {"kind": "refuted", "weight": -0.2}])
    stream.put(
        "updated",
        1.0,
        **at,
        attempt=key.attempt,
        parent=parent.attempt,
        summary="boosted trees",
        hypothesis=hypothesis,
        seconds=1.0,
        usage=random_usage(stream.rng),
    )


OBSERVATION = {
    "text": "the worst segment is city=Ulm with 2.3 times the loss",
    "cites": ["segments[0]", "cv.mean"],
}
HINT = {
    "id": "r1",
    "kind": "accepted",
    "gain": 0.004,
    "gain_se": 0.001,
    "weight": 0.61,
    "where": "this run, trace 0",
}


def put_execution(stream: EventStream, key: StepKey) -> tuple[float, bool]:
    """Append the script's execution; return its seconds and whether it crashed."""
    at = key._asdict()
    stream.put("execution_started", attempt=key.attempt, **at, limit_s=60)
    seconds = stream.rng.uniform(2, 12)
    failed = stream.rng.random() < 0.12
    stream.put(
        "execution_finished",
        seconds,
        attempt=key.attempt,
        **at,
        seconds=seconds,
        end="exit",
        exit_code=1 if failed else 0,
        cpu_s=2 * seconds,
        peak_bytes=400 * 2**20,
        tier="bubblewrap",
    )
    return seconds, failed


def verdict_of_gain(gain: float | None) -> str:
    """Return the verdict of a script that ran; a draft has no gain and is accepted."""
    if gain is None or gain > 0.002:
        return "accepted"
    return "tie" if gain > -0.002 else "rejected"


def changed_script(script: str, key: StepKey, idea: str) -> str:
    """Return the parent's script with one edit and two lines more."""
    number = key.step
    edited = script.replace("n_estimators=100", f"n_estimators={100 + number}")
    return edited + f"# step {number}: {idea[:40]}\ntrain['x{number}'] = 1\n"


def described_change(
    key: StepKey, parent: TraceBest | None, hypothesis: dict[str, Any], idea: str
) -> Event:
    """Return the fields of an attempt that say what was tried."""
    return {
        "id": key.attempt,
        **key._asdict(),
        "parent": parent.attempt if parent else None,
        "kind": "update" if parent else "draft",
        "component": hypothesis["component"],
        "hypothesis": idea if parent else f"draft {key.trace}",
        "move": "target_encode(city)",
        "predicted": {"sign": 1, "size": hypothesis["effect"]["size"]},
        "confidence": hypothesis["confidence"],
    }


def artifact_fields(stream: EventStream, script: str, score: float, hostile: bool) -> Event:
    """Store script, evidence and log; return their references."""
    segment = {"column": "city", "value": "Ulm" + HOSTILE, "ratio": 2.3, "n": 120}
    evidence = {"cv": {"mean": score, "se": 0.004}, "segments": [segment]}
    return {
        "script": stream.store(script),
        "evidence": stream.store(json.dumps(evidence)),
        "log": stream.store("round 100 loss 0.3\n" * 5 + (HOSTILE if hostile else "")),
    }


FAILED_FIELDS: Event = {
    "score": None,
    "score_se": None,
    "folds": [],
    "gain": None,
    "gain_se": None,
    "reasons": ["crashed"],
    "problems": [{"code": "crash", "message": "KeyError: 'city' in line 12"}],
}


def score_fields(rng: random.Random, score: float, gain: float | None, verdict: str) -> Event:
    """Return the fields of an attempt whose script ran."""
    folds = [score + rng.gauss(0, 0.004) for _ in range(5)]
    accepted = verdict == "accepted"
    return {
        "score": score,
        "score_se": 0.004,
        "folds": folds,
        "gain": gain,
        "gain_se": 0.0015,
        "problems": [],
        "reasons": ["beyond noise" if accepted else "within noise"],
        "replaces": accepted or (verdict == "tie" and rng.random() < 0.2),
        "measured": gain is not None,
    }


def synthetic_events(
    traces: int = 3,
    steps: int = 6,
    *,
    folder: Path | None = None,
    ended: bool = True,
    hostile: bool = True,
    seed: int = 0,
) -> list[Event]:
    """Return the events of a whole run; with a folder, write events.jsonl and artifacts too."""
    stream = EventStream(folder, seed)
    best: dict[int, TraceBest] = {}
    put_run_start(stream, traces, steps)
    for number in range(steps):
        for trace in range(traces):
            put_step(stream, StepKey(trace, number), best, hostile)
        put_merge(stream, traces, number, best)
    if ended:
        put_run_end(stream, best)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in stream.events))
    return stream.events


def put_merge(stream: EventStream, traces: int, number: int, best: dict[int, TraceBest]) -> None:
    """Append the merge that ends a round."""
    standing = {"step": number, "status": "running", "attempts": number + 1, "accepted": 1}
    stream.put(
        "merged",
        round=number,
        best=best_of_run(best),
        standings=[{"trace": trace} | standing for trace in range(traces)],
        actions=["trace 2 restarts from the best solution"] if number == 3 else [],
        used={"time_s": 1},
    )


def best_of_run(best: dict[int, TraceBest]) -> dict[str, Any] | None:
    """Return the best attempt over all traces as events name it."""
    if not best:
        return None
    top = max(best.values(), key=lambda entry: entry.score)
    return {"attempt": top.attempt, "score": top.score, "score_se": 0.004}


def put_run_end(stream: EventStream, best: dict[int, TraceBest]) -> None:
    """Append the final choice and the end of the run."""
    top = best_of_run(best)
    assert top is not None
    candidates = [
        {"attempt": entry.attempt, "score": entry.score, "audit": entry.score - 0.004}
        for entry in best.values()
    ]
    stream.put("finalizing", candidates=candidates)
    stream.put(
        "finalized",
        20.0,
        **top,
        submission="best/submission.csv",
        solution="best/solution.py",
        sha256={"submission.csv": "ab" * 32},
    )
    seconds = stream.t - START_T
    stream.put("run_ended", reason="budget", best=top, seconds=seconds, message="")
