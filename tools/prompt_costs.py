"""What a step costs in calls and prompt tokens, and how much of it a prefix cache would serve.

    python -m tools.prompt_costs --measure       # two real runs (minutes), then the page
    python -m tools.prompt_costs                 # the page alone, from the stored numbers

A scripted model behind a real local endpoint drives real runs of the example `modechoice`: two
traces of 10 and of 50 steps. Numbers: evals/data/prompt_costs.json; page: docs/results/prompts.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from evals.harness.answers import keep_answer
from evals.harness.common import write_example_task
from evals.harness.prompt_model import PromptModel, usage_of
from graph.settings import Settings
from run.events import iterate_events
from session.session import start_run

EXAMPLE = "modechoice"
ROOT = Path(__file__).parents[1]
NUMBERS = ROOT / "evals" / "data" / "prompt_costs.json"
PAGE = ROOT / "docs" / "results" / "prompts.md"
STEPS = (10, 50)
SCRIPTED = ("drafted", "updated", "repaired")
Row = dict[str, float]


def serve_model(model: PromptModel) -> ThreadingHTTPServer:
    """Serve the model on a free port of this machine; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer, counted = model.answer(body)
            message = {"role": "assistant", "content": json.dumps(answer)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            head = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"]}
            value = head | {"choices": [choice], "usage": usage_of(counted, answer)}
            raw = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


async def measure_run(steps: int, **changes: Any) -> dict[str, Any]:
    """Run two traces of so many steps; return what each verb cost."""
    model = PromptModel()
    server = serve_model(model)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        await write_example_task(EXAMPLE, root / EXAMPLE)
        settings = Settings(
            model=["scripted"],
            base_url=f"http://127.0.0.1:{server.server_port}/v1",
            key_env="HOME",  # any text serves as a key here
            stream=False,
            traces=2,
            steps=steps,
            time_s=6 * 3600,
            memory=str(root / "memory"),
            runs_dir=str(root / "runs"),
            **changes,
        )
        outcome = await start_run(str(root / EXAMPLE), settings)
        events = [event["ev"] for event in iterate_events(outcome.folder / "events.jsonl")]
    server.shutdown()
    server.server_close()
    return cost_table(model, sum(event in SCRIPTED for event in events))


def cost_table(model: PromptModel, n_scripts: int) -> dict[str, Any]:
    """Return the counts by verb, and per executed script."""
    verbs = {
        verb: {
            "calls": len(counts),
            "prompt": sum(each.prompt for each in counts),
            "cached": sum(each.cached for each in counts),
        }
        for verb, counts in sorted(model.counts.items())
    }
    total = {name: sum(row[name] for row in verbs.values()) for name in ("calls", "prompt")}
    cached = sum(row["cached"] for row in verbs.values())
    return {"scripts": n_scripts, "verbs": verbs, "total": total | {"cached": cached}}


def per_script(run: dict[str, Any]) -> Row:
    """Return calls and tokens per executed script, and the share that a cache serves."""
    total, n = run["total"], max(1, run["scripts"])
    return {
        "calls": total["calls"] / n,
        "prompt": total["prompt"] / n,
        "new": (total["prompt"] - total["cached"]) / n,
        "cached": total["cached"] / max(1, total["prompt"]),
    }


def page_text(numbers: dict[str, Any]) -> str:
    """Return docs/results/prompts.md."""
    lines = [HEAD, "| steps a trace | | calls | prompt tokens | new tokens | in a cache |"]
    lines.append("|---|---|---|---|---|---|")
    for steps in STEPS:
        for name in ("before", "after"):
            if run := numbers.get(name, {}).get(str(steps)):
                row = per_script(run)
                cells = f"{row['calls']:.2f} | {row['prompt']:,.0f} | {row['new']:,.0f}"
                lines.append(f"| {steps} | {name} | {cells} | {row['cached']:.0%} |")
    for name in ("before", "after"):
        for steps in STEPS:
            if run := numbers.get(name, {}).get(str(steps)):
                lines += ["", *verb_lines(f"{name}, {steps} steps a trace", run)]
    return "\n".join(lines) + "\n"


def verb_lines(title: str, run: dict[str, Any]) -> list[str]:
    """Return the table of one run by verb."""
    lines = [
        f"## {title}: {run['scripts']} executed scripts",
        "",
        "| verb | calls | prompt tokens a call | new tokens a call | in a cache |",
        "|---|---|---|---|---|",
    ]
    for verb, row in run["verbs"].items():
        n = row["calls"]
        new = (row["prompt"] - row["cached"]) / n
        share = row["cached"] / row["prompt"]
        lines.append(f"| {verb} | {n} | {row['prompt'] / n:,.0f} | {new:,.0f} | {share:.0%} |")
    return lines


HEAD = """\
# What a step costs in prompt tokens

`python -m tools.prompt_costs --measure` drives real runs of the example `modechoice` (two traces,
the default settings) with a scripted model behind a local endpoint: of ten changes two help, two
are worse, one fails and is repaired, and one edit misses and is asked for again. The endpoint
counts every request against all earlier ones of the run, to the character: *new* are the tokens
that no earlier request began with, *in a cache* the share that a server with a prefix cache serves
from it. Tokens are estimated (3.5 bytes each); answer schemas are not counted. *Before*: two calls
per step and reviews of every accepted script (commit 88eb234). *Again* is a follow-up: mostly the
edit that misses. Traces run at the same time, so two runs differ by a follow-up or two (2 % of the
tokens each). On a task as small as this one, rules and instructions are a third of a prompt, and
the same in every request.

Per executed script:
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="run, and store the numbers")
    parser.add_argument("--name", default="after", choices=("before", "after"))
    parser.add_argument("--steps", type=int, nargs="*", default=list(STEPS))
    options = parser.parse_args()
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.is_file() else {}
    if options.measure:
        for steps in options.steps:
            run = asyncio.run(measure_run(steps))
            numbers.setdefault(options.name, {})[str(steps)] = run
            print(steps, json.dumps(per_script(run)), flush=True)
            NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")
    PAGE.write_text(keep_answer(PAGE, page_text(numbers)))


if __name__ == "__main__":
    main()
