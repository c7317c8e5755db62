"""Try the whole protocol against a scripted endpoint: no key, no model, nothing to publish.

python -m evals.models.trial [--contestants gome,aide,bare] [--aide ENV] [--fenced] [--out FOLDER]

A local server plays the model for all contestants on two examples, with scripts that work. It says
of itself that it is scripted, so that none of its figures can be taken for a model's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evals.models import __main__ as command
from evals.models.bare import SYSTEM
from evals.models.conversation import TOOL
from evals.models.endpoint import SCRIPTED
from evals.models.study import StudyError, read_terms
from evals.peers.compare import TASKS
from evals.peers.endpoint import ScriptedEndpoint, tool_call_message
from evals.peers.scripts import nth_script

SCRIPT = 1  # of the scripts, the one that the bare agent writes
FIRST = "ls input; head -n 3 input/train.csv"
LAST = "wc -l submission.csv"


class TrialEndpoint(ScriptedEndpoint):
    """Plays the model for Gome, AIDE and the bare agent; `fenced`: one that calls no tools."""

    def __init__(self, *, fenced: bool = False, port: int = 0) -> None:
        super().__init__(lambda agent, number: nth_script(agent, number, *self._task.form), port)
        self.fenced = fenced
        self._task = threading.local()
        self._counts = Counter[tuple[str, str]]()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the assistant's message for whoever asks."""
        text = json.dumps(body["messages"])
        forms = [form for name, form in TASKS.items() if form[0] in text or f"# {name}" in text]
        self._task.form = forms[0] if forms else TASKS["fair"]
        is_bare = SYSTEM.splitlines()[0] in text
        if is_bare:
            return self.answer_bare(body)
        return super().answer(body)

    def next_script(self, agent: str) -> str:
        """Return the agent's next script for the task; each begins with the first one."""
        with self.turn:
            key = (agent, self._task.form[0])
            number, self._counts[key] = self._counts[key], self._counts[key] + 1
        return self.script_of(agent, number)

    def answer_bare(self, body: dict[str, Any]) -> dict[str, Any]:
        """Look at the data, write a script and run it, look at the result, end."""
        script = nth_script("aide", SCRIPT, *self._task.form).replace("working/", "")
        run = f"cat > solution.py <<'EOF'\n{script}\nEOF\npython solution.py"
        commands = (FIRST, run, LAST)
        number = sum(turn["role"] == "assistant" for turn in body["messages"])
        if number >= len(commands):
            return {"role": "assistant", "content": "The submission is there."}
        if self.fenced or not body.get("tools"):
            return {"role": "assistant", "content": f"Next.\n```bash\n{commands[number]}\n```"}
        return tool_call_message(TOOL, {"command": commands[number]})


def known_port(out: Path) -> int:
    """Return the port of the trial that has begun in the folder, so that it goes on; else 0."""
    try:
        return urlsplit(read_terms(out).endpoint).port or 0
    except StudyError:
        return 0


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m evals.models.trial",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--contestants", default="gome,aide,bare")
    parser.add_argument("--tasks", default="fair,randhie", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--aide", default="aide", metavar="ENV", help="AIDE's environment")
    parser.add_argument("--seconds", default="120", help="of a cell")
    parser.add_argument("--steps", default="4")
    parser.add_argument("--fenced", action="store_true", help="play a model without tool calls")
    parser.add_argument("--out", type=Path, help="folder of the study [a temporary one]")
    options = parser.parse_args(words)
    out = options.out or Path(tempfile.mkdtemp(prefix="gome-trial-"))
    with TrialEndpoint(fenced=options.fenced, port=known_port(out)) as endpoint:
        given = ["--model", SCRIPTED, "--base-url", endpoint.url, "--out", str(out)]
        given += ["--place", str(out / "tasks"), "--tasks", options.tasks, "--aide", options.aide]
        given += ["--contestants", options.contestants, "--seconds", options.seconds]
        return command.main([*given, "--steps", options.steps, "--tokens", "200000"])


if __name__ == "__main__":
    sys.exit(main())
