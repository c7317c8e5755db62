"""A made-up run as its events, for the tests of console, tables and report: deterministic, of any length, with hostile text."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> [bold red]markup[/] \x1b[31mred\x1b[0m \x07 \u202eevil"
IDEAS = [
    (
        "features",
        "Encode city by its mean target over the other folds: 300 levels carry signal that one-hot columns dilute",
    ),
    (
        "model",
        "Lower the learning rate to 0.03 and train 900 rounds: the loss still falls at the last round",
    ),
    (
        "data",
        "Drop refund_date: it is only filled after the outcome and drifts between train and test",
    ),
    (
        "ensemble",
        "Blend the boosted trees with a regularised linear model: their errors correlate at 0.81 only",
    ),
    ("workflow", "Predict the logarithm of the price: the residuals grow with it"),
]
BASE = "import pandas as pd\nfrom lightgbm import LGBMClassifier\n\n"
BASE += "train = pd.read_csv('input/train.csv')\nmodel = LGBMClassifier(n_estimators=100)\n"


class Stream:
    """Collects events with a clock and writes artifacts when it has a folder."""

    def __init__(self, folder: Path | None, t: float) -> None:
        self.folder, self.t, self.events = folder, t, []  # type: Path | None, float, list[dict[str, Any]]

    def put(self, ev: str, passed: float = 0.05, /, **fields: Any) -> None:
        self.t += passed
        self.events.append({"t": round(self.t, 3), "ev": ev, **fields})

    def artifact(self, text: str) -> str:
        ref = hashlib.sha256(text.encode()).hexdigest()
        if self.folder is not None:
            path = self.folder / "artifacts" / ref[:2] / ref
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return ref


def usage(rng: random.Random) -> dict[str, Any]:
    return {
        "calls": 1,
        "input_tokens": rng.randint(2000, 9000),
        "output_tokens": rng.randint(300, 2000),
        "usd": 0.0123,
    }


def start(stream: Stream, traces: int, steps: int, **more: Any) -> None:
    fields = {
        "run": "20261124-made-up",
        "task": "city-prices",
        "metric": "auc",
        "direction": "max",
        "sandbox": "bubblewrap",
        "schema": 1,
    }
    fields |= {
        "traces": traces,
        "steps": steps,
        "time_s": 600,
        "reasoner": "chat:some-model",
        "memory": "on (12 successes)",
    }
    stream.put(
        "run_started",
        **(fields | {"settings": {"traces": traces, "accept_z": 1.0, "audit": True}} | more),
    )
    profile = {
        "n_train": 8000,
        "n_test": 2000,
        "n_audit": 800,
        "split": "stratified, 5 folds",
        "notes": ["refund_date looks leaky"],
    }
    stream.put("profile", 0.8, **profile)


def step(
    stream: Stream,
    rng: random.Random,
    trace: int,
    number: int,
    best: dict[int, tuple[str, float, str]],
    hostile: bool,
) -> None:
    at = {"trace": trace, "step": number}
    id = f"t{trace}s{number}"
    component, idea = IDEAS[rng.randrange(len(IDEAS))]
    idea += HOSTILE if hostile and number == 1 else ""
    parent, old, script = best.get(trace, ("", 0.0, BASE))
    size, confidence = rng.choice(["small", "medium", "large"]), round(rng.uniform(0.2, 0.9), 2)
    hypothesis = {
        "id": f"h{id}",
        "challenge": "city is diluted",
        "statement": idea,
        "component": component,
        "plan": "edit two lines",
    }
    hypothesis |= {
        "effect": {"sign": 1, "size": size},
        "confidence": confidence,
        "cites": ["segments[0]"],
        "refuted_by": "no gain",
    }
    if parent:
        observations = [
            {
                "text": "the worst segment is city=Ulm with 2.3 times the loss",
                "cites": ["segments[0]", "cv.mean"],
            }
        ]
        said = {
            "observations": observations,
            "causes": ["high-cardinality column, one-hot"],
            "hypotheses": [hypothesis, hypothesis],
        }
        stream.put("diagnosed", 1.0, **at, **said, seconds=1.0, usage=usage(rng))
        hint = {
            "id": "r1",
            "kind": "accepted",
            "hypothesis": idea,
            "gain": 0.004,
            "gain_se": 0.001,
            "weight": 0.61,
            "where": "this run, trace 0",
        }
        stream.put("recalled", 0.1, **at, hints=[hint, hint | {"kind": "refuted", "weight": -0.2}])
        stream.put(
            "updated",
            1.0,
            **at,
            attempt=id,
            parent=parent,
            summary="boosted trees",
            hypothesis=hypothesis,
            seconds=1.0,
            usage=usage(rng),
        )
    else:
        stream.put(
            "drafted",
            1.0,
            **at,
            attempt=id,
            summary=f"draft {trace}: {idea}",
            seconds=1.0,
            usage=usage(rng),
        )
    stream.put("execution_started", attempt=id, **at, limit_s=60)
    seconds = rng.uniform(2, 12)
    failed = rng.random() < 0.12
    end = {
        "end": "exit",
        "exit_code": 1 if failed else 0,
        "cpu_s": 2 * seconds,
        "peak_bytes": 400 * 2**20,
        "tier": "bubblewrap",
    }
    stream.put("execution_finished", seconds, attempt=id, **at, seconds=seconds, **end)
    gain = rng.gauss(0.003, 0.006) if parent else None
    score = old + (gain or 0) if parent else rng.uniform(0.76, 0.79)
    verdict = (
        "failed"
        if failed
        else "accepted"
        if gain is None or gain > 0.002
        else "tie"
        if gain > -0.002
        else "rejected"
    )
    new = (
        script.replace("n_estimators=100", f"n_estimators={100 + number}")
        + f"# step {number}: {idea[:40]}\ntrain['x{number}'] = 1\n"
    )
    record: dict[str, Any] = {
        "id": id,
        **at,
        "parent": parent or None,
        "kind": "update" if parent else "draft",
        "component": component,
    }
    record |= {
        "hypothesis": idea if parent else f"draft {trace}",
        "move": "target_encode(city)",
        "predicted": {"sign": 1, "size": size},
    }
    evidence = {
        "cv": {"mean": score, "se": 0.004},
        "segments": [{"column": "city", "value": "Ulm" + HOSTILE, "ratio": 2.3, "n": 120}],
    }
    record |= {
        "confidence": confidence,
        "script": stream.artifact(new),
        "evidence": stream.artifact(json.dumps(evidence)),
        "verdict": verdict,
    }
    record |= {
        "log": stream.artifact("round 100 loss 0.3\n" * 5 + (HOSTILE if hostile else "")),
        "seconds": seconds,
        "usage": usage(rng),
    }
    if failed:
        record |= {
            "score": None,
            "score_se": None,
            "folds": [],
            "gain": None,
            "gain_se": None,
            "reasons": ["crashed"],
        }
        record |= {"problems": [{"code": "crash", "message": "KeyError: 'city' in line 12"}]}
    else:
        folds = [score + rng.gauss(0, 0.004) for _ in range(5)]
        record |= {
            "score": score,
            "score_se": 0.004,
            "folds": folds,
            "gain": gain,
            "gain_se": 0.0015,
            "problems": [],
        }
        takes = verdict == "accepted" or (verdict == "tie" and rng.random() < 0.2)
        record |= {
            "reasons": ["beyond noise" if verdict == "accepted" else "within noise"],
            "replaces": takes,
            "measured": bool(parent),
        }
    stream.put("attempt", 0.2, **record)
    if record.get("replaces"):
        best[trace] = (id, score, new[:4000])


def made_up(
    traces: int = 3,
    steps: int = 6,
    *,
    folder: Path | None = None,
    ended: bool = True,
    hostile: bool = True,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Events of a whole run; with a folder also its events.jsonl and artifacts."""
    rng, stream = random.Random(seed), Stream(folder, 1_790_000_000.0)
    best: dict[int, tuple[str, float, str]] = {}
    start(stream, traces, steps)
    for number in range(steps):
        for trace in range(traces):
            step(stream, rng, trace, number, best, hostile)
        standings = [
            {"trace": i, "step": number, "status": "running", "attempts": number + 1, "accepted": 1}
            for i in range(traces)
        ]
        top = max(best.values(), key=lambda b: b[1], default=None)
        named = {"attempt": top[0], "score": top[1], "score_se": 0.004} if top else None
        actions = ["trace 2 restarts from the best solution"] if number == 3 else []
        stream.put(
            "merged",
            round=number,
            best=named,
            standings=standings,
            actions=actions,
            used={"time_s": 1},
        )
    if ended:
        finish(stream, best)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in stream.events))
    return stream.events


def finish(stream: Stream, best: dict[int, tuple[str, float, str]]) -> None:
    top = max(best.values(), key=lambda b: b[1])
    stream.put(
        "finalizing",
        candidates=[{"attempt": b[0], "score": b[1], "audit": b[1] - 0.004} for b in best.values()],
    )
    files = {
        "submission": "best/submission.csv",
        "solution": "best/solution.py",
        "sha256": {"submission.csv": "ab" * 32},
    }
    stream.put("finalized", 20.0, attempt=top[0], score=top[1], score_se=0.004, **files)
    named = {"attempt": top[0], "score": top[1], "score_se": 0.004}
    stream.put(
        "run_ended", reason="budget", best=named, seconds=stream.t - 1_790_000_000.0, message=""
    )
