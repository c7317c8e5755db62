"""The bare coding agent: one conversation, one shell in the sandbox, no framework.

It may run anything in its workspace, sees input/ and not the answers, and hands over the
submission.csv that stands there when it ends. An invalid one is told to it once or twice, with the
reason and never a score.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from evals.models.conversation import UNUSABLE, Conversation, Turn, Wish, read_answer
from evals.models.endpoint import EndpointStoppedError, ask
from evals.models.grading import Snapshots, grade_file
from evals.models.shell import SUBMISSION, Shell, describe_end
from evals.models.study import Budget
from evals.models.tasks import StudyTask
from evals.models.transcript import Transcript
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.faults import (
    EndpointError,
    PermanentError,
    PromptTooLongError,
    RefusedRequestError,
    TransientError,
)
from reasoner.protocol import Usage
from reasoner.transcript import keeping_calls
from report.formatting import clean_text
from sandbox.protocol import Execution, Host, SandboxLostError

MAX_EMPTY = 3  # answers in a row without a command, before the agent counts as stuck
MAX_CHECKS = 2  # invalid submissions that are told
MAX_LOST = 3  # commands in a row that the sandbox lost
COMMAND_SHARE, LEAST_COMMAND_S = 0.25, 60.0  # of the seconds, for one command
LEAST_ANSWER_S = 1.0
MAX_DESCRIPTION_CHARS = 40_000
MAX_LISTED = 60
SYSTEM = """\
You are a machine-learning engineer who solves one prediction task on your own, with a shell.

Your workspace is the current folder. `input/` holds the task's files and is read-only. Write the
predictions for the test rows to `submission.csv` in the workspace; the file that stands there when
you end is scored on hidden labels, once, and you are never told that score. Estimate it yourself,
by cross-validation on the training rows.

Every command runs in a new bash in the workspace: files stay, the current folder, variables and
background processes do not. There is no network and no way to install packages. Print little: you
see head and tail of long outputs. Save early: a valid submission first, then better ones. Nobody
answers questions."""


@dataclass
class BareRun:
    """One conversation in progress."""

    task: StudyTask
    budget: Budget
    endpoint: ModelEndpoint
    shell: Shell
    talk: Conversation
    transcript: Transcript
    snapshots: Snapshots
    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    script_s: float = 0.0
    n_empty: int = 0
    n_checks: int = 0
    n_lost: int = 0
    was_waiting: bool = False  # for an answer, when the time was up

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return self.budget.seconds - self.seconds

    @property
    def usage(self) -> Usage:
        """What the model has cost."""
        return self.transcript.usage

    @property
    def left_tokens(self) -> int:
        """Tokens left."""
        return self.budget.tokens - self.usage.input_tokens - self.usage.output_tokens

    @property
    def command_s(self) -> float:
        """Seconds that one command may take now."""
        return min(self.left_s, max(LEAST_COMMAND_S, COMMAND_SHARE * self.budget.seconds))

    async def talk_to_end(self) -> str:
        """Hold the conversation; return why it ended. Raises StudyError."""
        with keeping_calls(self.transcript.keep_call):
            while True:
                if self.left_s <= LEAST_ANSWER_S:
                    return "budget: time"
                if self.left_tokens <= 0:
                    return "budget: tokens"
                try:
                    async with asyncio.timeout(self.left_s):
                        reply = await self._ask()
                except TimeoutError:
                    self.was_waiting = True
                    return "budget: time"
                if reply is None:
                    return "the conversation no longer fits into the model's context"
                if end := await self._take(reply):
                    return end

    async def _ask(self) -> Reply | None:
        """Ask for the next answer, in the other form or shorter if need be; None: too long."""
        talk = self.talk
        while True:
            try:
                return await ask(
                    self.endpoint, talk.messages(), talk.parameters(), self.say, form=talk.form
                )
            except PromptTooLongError:
                if not talk.shorten():
                    return None
            except RefusedRequestError as error:
                if talk.form == "fenced":
                    raise EndpointStoppedError(str(error)) from error
                self.say(f"no calls of tools ({error}); going on with fenced commands")
                talk.form = "fenced"
            except (PermanentError, TransientError) as error:
                if talk.form == "fenced" or "tool" not in str(error).lower():
                    raise EndpointStoppedError(str(error)) from error
                self.say(f"no calls of tools ({error}); going on with fenced commands")
                talk.form = "fenced"
            except EndpointError as error:  # this answer is of no use; another may be
                return Reply(str(error), "", "", UNUSABLE, Usage())

    async def _take(self, reply: Reply) -> str:
        """Run what an answer asks for; return why the conversation ends, if it does."""
        wish = read_answer(reply, self.talk.form)
        if wish.is_fenced and self.talk.form == "tools":
            self.say("the model writes commands in fences; going on in that form")
            self.talk.form = "fenced"
        if not wish.commands:
            return await self._take_no_command(wish)
        self.n_empty = 0
        turn = Turn(wish.text, list(wish.commands))
        for command in wish.commands:
            turn.outputs.append(await self._run(command))
        self.talk.turns.append(turn)
        return ""

    async def _take_no_command(self, wish: Wish) -> str:
        """End the conversation, or say what is missing."""
        note = wish.problem
        if not note:
            grade = await self._check()
            if not grade:
                return "done"
            note = f"{grade} Go on, or end without a command again."
        self.n_empty += 1
        if self.n_empty > MAX_EMPTY:
            return f"{self.n_empty} answers in a row without a command that could be run"
        self.talk.turns.append(Turn(wish.text, note=f"{note}\n{self._left()}"))
        return ""

    async def _check(self) -> str:
        """Return what is wrong with the submission, as far as it is told; empty: nothing."""
        last = self.snapshots.taken[-1] if self.snapshots.taken else None
        if last is None or last.path is None:
            return f"There is no {SUBMISSION} in the workspace yet."
        if self.n_checks >= MAX_CHECKS:
            return ""
        self.n_checks += 1
        asked = time.monotonic()
        grade = await grade_file(self.task.folder, last.path)
        self.began += time.monotonic() - asked  # the grader's time is not the agent's
        return f"{SUBMISSION} cannot be scored: {grade.failure}." if grade.failure else ""

    async def _run(self, command: str) -> str:
        """Run a command; return what the model is told."""
        if self.left_s <= LEAST_ANSWER_S:
            return "[not run: the time is up]"
        try:
            done = await self.shell.run(command, self.command_s)
            self.n_lost = 0
        except SandboxLostError as error:
            self.n_lost += 1
            if self.n_lost > MAX_LOST:
                raise
            return f"[not run: {error}]"
        self._note(command, done)
        output = done.output.rstrip("\n") or "(no output)"
        return f"{output}\n[{describe_end(done)}; {self._left()}]"

    def _note(self, command: str, done: Execution) -> None:
        self.script_s += done.wall_s
        n, end = self.shell.n_commands, describe_end(done)
        self.transcript.write(
            "command",
            command=command,
            end=end,
            seconds=round(done.wall_s, 3),
            output=done.output,
        )
        self.snapshots.take(done.files.get(SUBMISSION), n, self.script_s, self.seconds)
        first = clean_text(command.strip().partition("\n")[0], 50)
        self.say(f"command {n}: {first} ({end}); {self._left()}")

    def _left(self) -> str:
        return f"{max(0, self.left_s):.0f} s and {max(0, self.left_tokens):,} tokens left"


def describe_task(task: StudyTask, host: Host, budget: Budget, command_s: float) -> str:
    """Return the first message: the task, its files, the machine, the budget."""
    definition = task.task
    names = list(task.inputs())
    listed = ", ".join(names[:MAX_LISTED]) + (" …" if len(names) > MAX_LISTED else "")
    packages = ", ".join(f"{name} {number}" for name, number in sorted(host.packages.items()))
    gigabytes = (host.memory_bytes or 0) / 2**30
    lines = [
        definition.description.strip()[:MAX_DESCRIPTION_CHARS] or f"# {task.name}",
        "",
        f"Target: {', '.join(definition.target)}. Id: {definition.id or 'the order of the rows'}."
        f" Metric: {Path(definition.metric).name}, {definition.direction}imised.",
        f"Files in input/: {listed}",
        f"Python {host.python} with {packages}",
        f"Machine: {host.cpus} cores, {gigabytes:.1f} GiB of memory,"
        f" {host.gpus[0] if host.gpus else 'no GPU'}.",
        f"Budget: {budget.seconds:.0f} s in all, your answers included, and {budget.tokens:,}"
        f" tokens read and written. One command may take {command_s:.0f} s.",
    ]
    return "\n".join(lines)
