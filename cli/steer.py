"""Questions to a person in the terminal: each line of the answer is checked as it is typed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from report.formatting import clean_text, format_duration, format_score, name_metric
from run.steering import Answer, Budget, Choose, Proposal, Question, explain_moves
from settings.parse import parse_duration

TRY_WORDS = """\
  try TRACE ID           try this proposal next
  try TRACE: WORDS       try your own idea next
  try TRACE ID: WORDS    the proposal in your words
  hint WORDS             advice to the reasoner"""
TRY_MOVES = """\
  try TRACE ID           try this proposal next
  try TRACE: MOVE        try a move of the expert"""
USAGE = """\
  pin TRACE              never restart this trace    drop TRACE         end this trace
  steps N   time 2h   tokens N   usd N   new budgets
  stop                   end the run with the current best
Ctrl-C leaves the run waiting; `gome resume` asks again."""
Parser = Callable[[Answer, str, Question], dict[str, Any]]


def make_ask(listener: Any) -> Callable[[Question], Answer | None] | None:
    """Return a function that asks in the terminal, or None without a terminal."""
    if not sys.stdin.isatty():
        return None

    def ask(question: Question) -> Answer | None:
        with pause_display(listener), allow_interrupt():
            return ask_in_terminal(question, input, lambda text: print(text, flush=True))

    return ask


def answer_once(text: str) -> Callable[[Question], Answer | None]:
    """Return a function that answers one question with this JSON and then lets the run wait.

    Raises typer.BadParameter for an unusable answer.
    """
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
def pause_display(listener: Any) -> Iterator[None]:
    """Stop the live table while a person types."""
    live = getattr(listener, "live", None)
    if live is not None:
        live.stop()
    try:
        yield
    finally:
        if live is not None:
            live.start()


@contextmanager
def allow_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the question at once; the event loop's handler would wait for the line."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ask_in_terminal(
    question: Question, read: Callable[[str], str], say: Callable[[str], None]
) -> Answer | None:
    """Read lines until an empty one, reporting unusable ones; None on Ctrl-C or end of input."""
    say(question_text(question))
    lines: list[str] = []
    while True:
        try:
            line = read("> ").strip()
        except (EOFError, KeyboardInterrupt):
            return None
        if not line:
            return parse_answer(lines, question)
        try:
            parse_answer([*lines, line], question)
        except ValueError as error:
            say(f"  {error}")
        else:
            lines.append(line)


def question_text(question: Question) -> str:
    """Return the question as text; what models and scripts wrote is cleaned."""
    best = question.best
    lines = [f"\nRound {question.round}: {clean_text(question.why, 200)}"]
    if best:
        score = format_score(best.score, best.se)
        metric, attempt = clean_text(name_metric(question.metric), 40), clean_text(best.attempt, 20)
        lines.append(f"best {score} {metric} ({attempt})")
    for row in question.standings:
        pinned = ", pinned" if row.pinned else ""
        lines.append(
            f"trace {row.trace}  step {row.step}  {format_score(row.score)}"
            f"  {row.accepted} accepted, idle {row.stagnant}{pinned}"
        )
        lines += [_proposal_line(each) for each in question.proposals if each.trace == row.trace]
    used, limit = question.used, format_duration(question.limits.get("time_s"))
    spent = format_duration(used.get("time_s"))
    lines.append(f"used {spent} of {limit}, {used.get('executions')} executions")
    heading = "One command per line; an empty line sends them. Press Enter to just continue."
    return "\n".join([*lines, heading, TRY_MOVES if question.moves else TRY_WORDS, USAGE])


def _proposal_line(proposal: Proposal) -> str:
    name, statement = clean_text(proposal.hypothesis, 40), clean_text(proposal.statement, 160)
    return f"    {name:<8} {statement}  [{proposal.component}, {proposal.confidence:.0%}]"


def parse_answer(lines: list[str], question: Question) -> Answer:
    """Parse the lines of an answer. Raises ValueError with one sentence for an unusable line."""
    answer = Answer()
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word not in PARSERS:
            raise ValueError(f"'{clean_text(word, 20)}' is not one of {', '.join(PARSERS)}")
        answer = Answer.model_validate(
            answer.model_dump() | PARSERS[word](answer, rest.strip(), question)
        )
    return answer


def parse_trace(text: str, question: Question) -> int:
    """Parse the number of a running trace. Raises ValueError."""
    known = [row.trace for row in question.standings]
    if not text.isdigit() or int(text) not in known:
        raise ValueError(
            f"'{clean_text(text, 20)}' is no running trace; there are {', '.join(map(str, known))}"
        )
    return int(text)


def parse_try(answer: Answer, rest: str, question: Question) -> dict[str, Any]:
    """Parse `try TRACE ID`, `try TRACE: WORDS` or `try TRACE ID: WORDS`. Raises ValueError."""
    head, colon, words = rest.partition(":")
    number, _, name = head.strip().partition(" ")
    trace, name, words = parse_trace(number, question), name.strip(), words.strip()
    known = [each.hypothesis for each in question.proposals if each.trace == trace]
    if name and name not in known:
        raise ValueError(
            f"trace {trace} has no proposal '{clean_text(name, 40)}';"
            f" it has {', '.join(known) or 'none'}"
        )
    if question.moves and words and (name or words not in question.moves):
        raise ValueError(explain_moves(question.moves))
    if not name and not words:
        raise ValueError("name a proposal or your own idea: try 0 h1, or try 0: use a log target")
    others = [choice for choice in answer.choose if choice.trace != trace]
    return {"choose": [*others, Choose(trace=trace, hypothesis=name, statement=words)]}


def parse_limit(text: str, *, timed: bool) -> float:
    """Parse a number above 0, or a time such as 90, 30m or 2h. Raises ValueError."""
    try:
        value = parse_duration(text) if timed else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        expected = "time such as 90, 30m or 2h" if timed else "number above 0"
        raise ValueError(f"'{clean_text(text, 20)}' is no {expected}")
    return value


def budget_parser(field: str) -> Parser:
    """Return the parser of a new limit."""

    def parse(answer: Answer, rest: str, question: Question) -> dict[str, Any]:
        budget = (answer.budget or Budget()).model_dump() | {
            field: parse_limit(rest, timed=field == "time_s")
        }
        return {"budget": Budget.model_validate(budget)}

    return parse


def parse_hint(answer: Answer, rest: str, question: Question) -> dict[str, Any]:
    """Parse `hint WORDS`; several hints become one. Raises ValueError."""
    if question.moves:
        raise ValueError(explain_moves(question.moves))
    if not rest:
        raise ValueError("write the hint behind the word: hint watch the skewed target")
    return {"hint": f"{answer.hint} {rest}".strip()}


PARSERS: dict[str, Parser] = {
    "try": parse_try,
    "hint": parse_hint,
    "pin": lambda answer, rest, question: {"pin": [*answer.pin, parse_trace(rest, question)]},
    "drop": lambda answer, rest, question: {"drop": [*answer.drop, parse_trace(rest, question)]},
    "steps": budget_parser("steps"),
    "time": budget_parser("time_s"),
    "tokens": budget_parser("max_tokens"),
    "usd": budget_parser("max_usd"),
    "stop": lambda answer, rest, question: {"stop": True},
}
