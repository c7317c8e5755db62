"""A scripted model whose answers have the length of a real one's, behind a real endpoint.

It edits `evals/data/prompt_script.txt`: of ten changes two help, four are ties, two are worse, one
fails and is repaired, one edit misses and is corrected. Every request is counted against all
earlier ones (`evals.harness.prefix`). It knows the present schemas and those of two calls per step.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

from evals.harness.prefix import Counted, PrefixCounter

SCRIPT = (Path(__file__).parents[1] / "data" / "prompt_script.txt").read_text()
CYCLE = ("tie", "helps", "worse", "tie", "fails", "tie", "misses", "worse", "helps", "tie")
NOISE_LINE = re.compile(r"^NOISE = ([\d.]+)$", re.MULTILINE)
TITLES = {"Draft": "draft", "Step": "diagnose", "Repair": "repair", "Review": "review"}
TITLES |= {"Diagnose": "diagnose", "Update": "update"}
BROKEN = "    rng = np.random.default_rng(SEED)\n    rng.shuffle_columns(X)\n"
SOUND = "    rng = np.random.default_rng(SEED)\n"
Edits = list[dict[str, str]]


class PromptModel:
    """Answers by the schema of a request; `counts` are the requests by verb."""

    def __init__(self) -> None:
        self.prefixes = PrefixCounter()
        self.counts: dict[str, list[Counted]] = defaultdict(list)
        self.n_changes = 0
        self.n_drafts = 0
        self._turn = threading.Lock()

    def answer(self, body: dict[str, Any]) -> tuple[dict[str, Any], Counted]:
        """Return the answer to a request, and its counts."""
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        title = str(schema.get("title", "")).removesuffix("Answer")
        verb = TITLES.get(title, "check")
        with self._turn:
            counted = self.prefixes.add(body["messages"])
            if verb == "check":
                return {"answer": 5}, counted
            n_turns = len(body["messages"])
            self.counts[verb if n_turns <= 2 else f"{verb}, again"].append(counted)
            return self._answer_verb(title, body, schema, is_again=n_turns > 2), counted

    def _answer_verb(
        self, title: str, body: dict[str, Any], schema: dict[str, Any], *, is_again: bool
    ) -> dict[str, Any]:
        text = "\n".join(str(turn["content"]) for turn in body["messages"])
        if title == "Draft":
            self.n_drafts += 1
            script = SCRIPT.replace("L2 = 1.0", f"L2 = {self.n_drafts}.0")
            return {"approach": APPROACH, "summary": "logistic regression", "script": script}
        if title == "Review":
            return {"reasons": [], "aligned": True, "leaks": False}
        if title == "Repair":
            edits = [{"search": BROKEN, "replace": SOUND}]
            return {"cause": "no such method", "fix": "leave it out", "edits": edits, "script": ""}
        noise = (NOISE_LINE.search(text) or [None, "3.0"])[1]
        answer: dict[str, Any] = {}
        if title in ("Diagnose", "Step"):
            answer |= diagnosis_answer(self.n_changes)
        if title in ("Update", "Step"):
            answer |= self._change(str(noise), is_again=is_again)
        plain = {"array": [], "boolean": True}
        fields = schema.get("properties", {}).items()
        return {name: plain.get(kind.get("type", ""), "") for name, kind in fields} | answer

    def _change(self, noise: str, *, is_again: bool) -> dict[str, Any]:
        """The next change; one in ten misses the script and is asked for again."""
        kind = CYCLE[self.n_changes % len(CYCLE)]
        if kind == "misses" and not is_again:
            edits = [{"search": "NOISE = none", "replace": "NOISE = 1.0"}]
        else:
            edits = change_edits("tie" if kind == "misses" else kind, noise, self.n_changes)
            self.n_changes += 1
        action = {"action": "choose", "chosen": "h1", "why": WHY, "take_from": [], "ensemble": []}
        hypothesis = hypothesis_answer(self.n_changes, 1)
        return action | {
            "hypothesis": hypothesis,
            "edits": edits,
            "script": "",
            "summary": f"logistic regression, change {self.n_changes}",
        }


def change_edits(kind: str, noise: str, n: int) -> Edits:
    """Return the edits of one change; every one gives a script that was not there before."""
    if kind == "fails":
        return [{"search": SOUND.rstrip("\n"), "replace": BROKEN.rstrip("\n")}]
    factor = {"helps": 0.75, "worse": 1.4}.get(kind, 1.0 + 0.001 * (n + 1))
    value = round(float(noise) * factor, 6)
    return [
        {"search": f"NOISE = {noise}", "replace": f"NOISE = {value}"},
        {
            "search": "    return sigmoid(X @ weights + NOISE * rng.standard_normal(len(X)))",
            "replace": f"    scale = {1 + n}  # change {n}\n"
            "    z = (X @ weights) * scale / scale\n"
            "    return sigmoid(z + NOISE * rng.standard_normal(len(X)))",
        }
        if n % 3 == 0 and kind != "helps"
        else {"search": "ADD_RANKS = False", "replace": f"ADD_RANKS = False  # {n}"},
    ]


def hypothesis_answer(n: int, rank: int) -> dict[str, Any]:
    """Return a hypothesis of usual length."""
    return {
        "challenge": f"the linear score {n} cannot express how ways compete within a person",
        "statement": f"Describe each row by its rank among the person's rows, variant {n}.{rank},"
        " because a choice depends on the differences between the ways, not on their levels.",
        "component": ("features", "model", "data")[rank - 1],
        "plan": "in make_features(): join the ranks before the one-hot columns; keep the penalty,"
        " the folds and everything else as they are",
        "expected": "better",
        "size": "small",
        "confidence": round(0.6 - 0.1 * rank, 2),
        "cost": "low",
        "refuted_by": "the paired difference is within 1 SE",
        "cites": ["E1", "E2"],
        "drops_columns": [],
    }


def diagnosis_answer(n: int) -> dict[str, Any]:
    """Return a diagnosis of usual length."""
    facts = (
        "the training score exceeds the out-of-fold score by less than its error: it under-fits",
        "the loss is highest where the waiting time is zero",
        "the folds differ by twice the standard error",
        "the script used a small part of its time",
    )
    return {
        "observations": [{"text": f"{fact} ({n})", "cites": ["E1", "E2"]} for fact in facts],
        "causes": ["a linear score cannot compare the rows of a person", "noise in the score"],
        "hypotheses": [hypothesis_answer(n, rank) for rank in (1, 2, 3)],
    }


APPROACH = (
    "840 rows, few columns, one positive row per person: a plain logistic regression on"
    " standardised columns is fast and hard to overfit; the rest is improved later."
)
WHY = "Largest expected gain at low cost; nothing in the history speaks against it."


def usage_of(counted: Counted, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the usage that the endpoint reports."""
    n_output = len(json.dumps(answer)) // 4
    return {
        "prompt_tokens": counted.prompt,
        "completion_tokens": n_output,
        "total_tokens": counted.prompt + n_output,
        "prompt_tokens_details": {"cached_tokens": counted.cached},
    }
