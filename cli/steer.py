"""Asking a person in the terminal: the run's question as text, their answer line by line, checked before it counts."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from report.formatting import clean, duration, score
from run.steering import Answer, Budget, Choose, Question

USAGE = """Answer in lines, an empty line sends them (nothing but an empty line: go on):
  try TRACE ID           the proposal with that id next          try TRACE: WORDS   your own idea next
  try TRACE ID: WORDS    the proposal in your words              hint WORDS         quoted to the reasoner from now on
  pin TRACE              never restart it from another's best    drop TRACE         end it
  steps N   time 2h      tokens N   usd N      new budgets        stop               end the run, hand over the best
Ctrl-C leaves the run waiting; `gome resume` asks again."""


def make_ask(listener: Any) -> Callable[[Question], Answer | None] | None:
    """A way to ask, or None where nobody sits at a terminal."""
    if not sys.stdin.isatty():
        return None

    def ask(question: Question) -> Answer | None:
        with still(listener), interruptible():
            return conversation(question, input, lambda text: print(text, flush=True))

    return ask


def once(text: str) -> Callable[[Question], Answer | None]:
    """Answers one question with this JSON; at the next one the run waits again. Raises typer.BadParameter."""
    import typer
    from pydantic import ValidationError

    try:
        answers = [Answer.model_validate_json(text)]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise typer.BadParameter(
            f'--answer: {where + ": " if where else ""}{first["msg"]}; for example {{"hint": "…"}}'
        ) from None
    return lambda question: answers.pop() if answers else None


@contextmanager
def still(listener: Any) -> Iterator[None]:
    """The live table rests while a person types."""
    live = getattr(listener, "live", None)
    if live is not None:
        live.stop()
    try:
        yield
    finally:
        if live is not None:
            live.start()


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends the question at once; the event loop's own handler would wait for the line to end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def conversation(
    question: Question, read: Callable[[str], str], say: Callable[[str], None]
) -> Answer | None:
    """Lines until an empty one; a line that cannot be read is said again. None: Ctrl-C or the end of input."""
    say(shown(question))
    given: list[str] = []
    while True:
        try:
            line = read("> ").strip()
        except (EOFError, KeyboardInterrupt):
            return None
        if not line:
            return answer_of(given, question)
        try:
            answer_of([*given, line], question)
        except ValueError as error:
            say(f"  {error}")
        else:
            given.append(line)


def shown(question: Question) -> str:
    """The question as a page of text; what models and scripts wrote is cleaned."""
    best = question.best
    lines = [f"\nRound {question.round}: {clean(question.why, 200)}"]
    if best:
        lines.append(
            f"best {score(best['score'], best['se'])} {clean(question.metric, 20)} ({clean(best['attempt'], 20)})"
        )
    for row in question.standings:
        marks = ", pinned" if row.get("pinned") else ""
        lines.append(
            f"trace {row['trace']}  step {row['step']}  {score(row['score'])}  {row['accepted']} accepted, idle {row['stagnant']}{marks}"
        )
        lines += [
            f"    {clean(each.hypothesis, 40):<8} {clean(each.statement, 160)}  [{each.component}, {each.confidence:.0%}]"
            for each in question.proposals
            if each.trace == row["trace"]
        ]
    used, limits = question.used, question.limits
    lines.append(
        f"used {duration(used.get('time_s'))} of {duration(limits.get('time_s'))}, {used.get('executions')} executions"
    )
    return "\n".join([*lines, USAGE])


def answer_of(lines: list[str], question: Question) -> Answer:
    """The answer of these lines. Raises ValueError with a sentence for one that cannot be read."""
    answer = Answer()
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word not in WORDS:
            raise ValueError(f"'{clean(word, 20)}' is not one of {', '.join(WORDS)}")
        answer = Answer.model_validate(
            answer.model_dump() | WORDS[word](answer, rest.strip(), question)
        )
    return answer


def trace_of(text: str, question: Question) -> int:
    known = [row["trace"] for row in question.standings]
    if not text.isdigit() or int(text) not in known:
        raise ValueError(
            f"'{clean(text, 20)}' is no trace that runs; there are {', '.join(map(str, known))}"
        )
    return int(text)


def tried(answer: Answer, rest: str, question: Question) -> dict[str, Any]:
    head, colon, words = rest.partition(":")
    number, _, name = head.strip().partition(" ")
    trace, name, words = trace_of(number, question), name.strip(), words.strip()
    known = [each.hypothesis for each in question.proposals if each.trace == trace]
    if name and name not in known:
        raise ValueError(
            f"trace {trace} has no proposal '{clean(name, 40)}'; it has {', '.join(known) or 'none'}"
        )
    if not name and not words:
        raise ValueError(
            "say which proposal, or your own idea: try 0 h1, or try 0: use a log target"
        )
    others = [choice for choice in answer.choose if choice.trace != trace]
    return {"choose": [*others, Choose(trace=trace, hypothesis=name, statement=words)]}


def number(text: str, *, timed: bool) -> float:
    """Raises ValueError for what is no number above 0 (or no time such as 90, 30m, 2h)."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:]) if timed else None
    try:
        value = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ValueError(
            f"'{clean(text, 20)}' is no {'time such as 90, 30m or 2h' if timed else 'number above 0'}"
        )
    return value


def limit(field: str) -> Callable[[Answer, str, Question], dict[str, Any]]:
    def read(answer: Answer, rest: str, question: Question) -> dict[str, Any]:
        budget = (answer.budget or Budget()).model_dump() | {
            field: number(rest, timed=field == "time_s")
        }
        return {"budget": Budget.model_validate(budget)}

    return read


def hinted(answer: Answer, rest: str, question: Question) -> dict[str, Any]:
    if not rest:
        raise ValueError("say the hint after the word: hint watch the skewed target")
    return {"hint": f"{answer.hint} {rest}".strip()}


WORDS: dict[str, Callable[[Answer, str, Question], dict[str, Any]]] = {
    "try": tried,
    "hint": hinted,
    "pin": lambda answer, rest, question: {"pin": [*answer.pin, trace_of(rest, question)]},
    "drop": lambda answer, rest, question: {"drop": [*answer.drop, trace_of(rest, question)]},
    "steps": limit("steps"),
    "time": limit("time_s"),
    "tokens": limit("max_tokens"),
    "usd": limit("max_usd"),
    "stop": lambda answer, rest, question: {"stop": True},
}
