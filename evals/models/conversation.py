"""The one conversation of the bare agent, in either form: calls of a tool, or fenced commands.

Turns are stored in a form of their own and written out for every request, so that a model that
turns out not to call tools goes on in the other form with all that was said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from reasoner.chat.answer.extract import FENCE, strip_thinking
from reasoner.chat.endpoint.client import Reply
from reasoner.chat.endpoint.completion import make_encodable
from reasoner.chat.message import Message

Form = Literal["tools", "fenced"]
TOOL = "bash"
UNUSABLE = "error"  # how an answer ended that is none
SHELL_NAMES = frozenset({"bash", "sh", "shell", "zsh"})
MAX_COMMAND_CHARS = 200_000
MAX_CALLS = 8  # of one answer
MAX_ANSWER_CHARS = 100_000  # that go back to the model
LEFT_OUT = "[this output was left out, the conversation being too long]"
CUT_CHARS = 400
TOOL_SCHEMA = {
    "type": "function",
    "function": {
        "name": TOOL,
        "description": "Run a command by bash in your workspace; returns what it prints.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "the command"}},
            "required": ["command"],
        },
    },
}
HOW: dict[Form, str] = {
    "tools": "Run commands with the tool `bash`. When you are done, answer without a call.",
    "fenced": (
        "To run a command, answer with it in one fenced block that begins with ```bash; the first"
        " block of an answer is run by bash, and its output is the next message. Write nothing"
        " after the block. When you are done, answer without a block."
    ),
}


@dataclass
class Turn:
    """An answer of the model and what came back: a text for every command, or one sentence."""

    text: str
    commands: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    note: str = ""


@dataclass
class Conversation:
    """All turns so far. `n_short`: of so many first turns only the beginnings are sent."""

    system: str
    task: str
    form: Form = "tools"
    turns: list[Turn] = field(default_factory=list)
    n_short: int = 0

    def parameters(self) -> dict[str, Any]:
        """Return what a request sends beside its messages."""
        return {"tools": [TOOL_SCHEMA]} if self.form == "tools" else {}

    def messages(self) -> list[Message]:
        """Return the conversation as it is sent."""
        start: list[Message] = [
            {"role": "system", "content": f"{self.system}\n\n{HOW[self.form]}"},
            {"role": "user", "content": self.task},
        ]
        write = write_calls if self.form == "tools" else write_fences
        for number, turn in enumerate(self.turns):
            shown = shorten_turn(turn) if number < self.n_short else turn
            start += write(number, shown)
        return start

    def shorten(self) -> bool:
        """Leave more of the first turns out; whether there was anything to leave out."""
        most = max(0, len(self.turns) - 2)
        if self.n_short >= most:
            return False
        self.n_short = max(self.n_short + 1, (self.n_short + most + 1) // 2)
        return True


def shorten_turn(turn: Turn) -> Turn:
    """Return the beginning of a turn."""
    commands = [command[:CUT_CHARS] for command in turn.commands]
    return Turn(turn.text[:CUT_CHARS], commands, [LEFT_OUT for _ in turn.outputs], turn.note)


def write_calls(number: int, turn: Turn) -> list[Message]:
    """Return a turn as calls of the tool."""
    if not turn.commands:
        return write_fences(number, turn)
    names = [f"call_{number}_{place}" for place in range(len(turn.commands))]
    calls = [
        {
            "id": name,
            "type": "function",
            "function": {"name": TOOL, "arguments": json.dumps({"command": command})},
        }
        for name, command in zip(names, turn.commands, strict=True)
    ]
    answers: list[Message] = [
        {"role": "tool", "tool_call_id": name, "content": output}
        for name, output in zip(names, turn.outputs, strict=True)
    ]
    return [{"role": "assistant", "content": turn.text, "tool_calls": calls}, *answers]


def write_fences(number: int, turn: Turn) -> list[Message]:
    """Return a turn as text with fenced commands."""
    fences = [f"```bash\n{command}\n```" for command in turn.commands]
    text = "\n\n".join(filter(None, [turn.text.strip(), *fences]))
    back = "\n\n".join(turn.outputs) or turn.note
    return [
        {"role": "assistant", "content": text or "(nothing)"},
        {"role": "user", "content": back},
    ]


@dataclass(frozen=True)
class Wish:
    """What an answer asks for: commands, or nothing; `problem` says what is wrong with it."""

    text: str
    commands: tuple[str, ...] = ()
    problem: str = ""
    is_fenced: bool = False  # the commands stood in fences


def read_answer(reply: Reply, form: Form) -> Wish:
    """Read an answer in either form, whatever it holds."""
    text = strip_thinking(reply.text)[:MAX_ANSWER_CHARS]
    if reply.finish == UNUSABLE:
        return Wish("", problem=f"Your answer could not be read ({text[:300]}). Nothing was run.")
    if reply.called and form == "tools":
        return _read_calls(text, reply.called[:MAX_CALLS])
    if found := first_fence(text):
        before, command = found
        if len(command) > MAX_COMMAND_CHARS:
            return Wish(before, problem="Your command is too long; write files in several steps.")
        return Wish(before, (command,), is_fenced=True)
    if reply.finish in ("length", "max_tokens"):
        return Wish(text, problem="Your answer was cut off at its length limit; answer shorter.")
    text = text or reply.refusal[:MAX_ANSWER_CHARS].strip()
    return Wish(text, problem="" if text else "Your answer was empty. If you are done, say so.")


def _read_calls(text: str, calls: tuple[str, ...]) -> Wish:
    commands = []
    for arguments in calls:
        command = read_command(arguments)
        if command is None:
            return Wish(
                text,
                problem=f"Your call of `{TOOL}` cannot be read: its arguments have to be one JSON"
                ' object, {"command": "…"}. Nothing was run.',
            )
        if len(command) > MAX_COMMAND_CHARS:
            return Wish(text, problem="Your command is too long; write files in several steps.")
        commands.append(command)
    return Wish(text, tuple(commands))


def read_command(arguments: str) -> str | None:
    """Return the command of a call's arguments; None where they are no such object."""
    try:
        value = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return None
    command = value.get("command") if isinstance(value, dict) else None
    if not isinstance(command, str) or not command.strip() or "\0" in command:
        return None
    return make_encodable(command)


def first_fence(text: str) -> tuple[str, str] | None:
    """Return what stands before the first fence of the shell, and its content."""
    for match in FENCE.finditer(text):
        command = match[2]
        if match[1].lower() in SHELL_NAMES and command.strip() and "\0" not in command:
            return text[: match.start()].strip(), command
    return None
