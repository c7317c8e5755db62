"""The one parser of what an endpoint sends: whole completions and the events of a stream.

Whatever its bytes are, the outcome is text, arguments and counts of a known type, or a
ReplyFormatError. Texts can be encoded, counts are whole numbers within reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_REPLY_BYTES = 32 * 2**20
MAX_TOKENS = 10**9  # an answer that claims more was not counted
MAX_USD = 1e4  # of one answer
MAX_CALLS = 64  # of tools, in one answer
FINISH_CHARS = 40
ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
ACCEPTED = {"Accept-Encoding": "gzip, deflate"}  # header of a request
EVENT_END = re.compile(rb"\r\n|\n|\r")


class ReplyFormatError(ValueError):
    """The endpoint's answer is no chat completion; the message says why."""


class ReplyProblemError(ValueError):
    """The endpoint sent an error in place of an answer; the message is the endpoint's.

    `status`: the HTTP status that the error names, though the answer's own was 200; else 0.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class ReplyTooLongError(ReplyFormatError):
    """The answer exceeds what any answer needs."""


def make_encodable(text: str) -> str:
    """Return the text with pairs of surrogates joined and lone ones replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def count_tokens(value: object) -> int | None:
    """Return a count that an endpoint may mean; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_TOKENS else None  # false for NaN


def read_cost(value: object) -> float | None:
    """Return dollars that an endpoint states for one answer; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MAX_USD else None  # false for NaN


def parse_reply(raw: bytes) -> dict[str, Any]:
    """Parse the JSON of a completion or of an event. Raises ReplyFormatError."""
    try:
        value = json.loads(raw.decode("utf-8-sig", "replace"))
    except RecursionError:
        raise ReplyFormatError("it nests too deeply") from None
    except ValueError as error:
        raise ReplyFormatError(f"it is not JSON, {str(error)[:80]}") from None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]  # some wrap an error in a list
    if not isinstance(value, dict):
        raise ReplyFormatError(f"it is a {type(value).__name__}, no JSON object")
    return value


def check_encoding(coding: str) -> None:
    """Raise ReplyFormatError for a Content-Encoding whose unpacking is not bounded.

    Several layers of compression, or the newer kinds, unpack a few bytes to any size.
    """
    if coding.strip().lower() not in ENCODINGS:
        raise ReplyFormatError(f"it is compressed as {coding[:40]!r}, which was not asked for")


@dataclass
class Completion:
    """An answer as far as it has come."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    tool_calls: dict[int, list[str]] = field(default_factory=dict)  # arguments, in pieces
    finish: str = ""
    n_input: int | None = None  # tokens, as the endpoint counts them
    n_output: int | None = None
    n_cached: int = 0
    usd: float | None = None  # the cost, where the endpoint states it
    n_choices: int = 0
    problem: ValueError | None = None  # why the answer is of no use

    @property
    def text(self) -> str:
        """The text."""
        return make_encodable("".join(self.texts))

    @property
    def refusal(self) -> str:
        """Why the model refused, if it did."""
        return make_encodable("".join(self.refusals))

    @property
    def thinking(self) -> str:
        """The reasoning that the endpoint gives beside the answer."""
        return make_encodable("".join(self.thoughts))

    @property
    def arguments(self) -> list[str]:
        """The arguments of every called tool, as JSON text."""
        return [make_encodable("".join(parts)) for _, parts in sorted(self.tool_calls.items())]

    def add(self, value: dict[str, Any]) -> str:
        """Take a completion or an event of a stream; return the text that it adds.

        Raises ReplyProblemError if it is an error.
        """
        if value.get("error"):
            raise reply_problem(value["error"])
        self._add_usage(value.get("usage"))
        choice = next(iter(dicts_in(value.get("choices"))), None)
        if choice is None:
            return ""
        self.n_choices += 1
        if choice.get("error"):
            raise reply_problem(choice["error"])
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = make_encodable(finish[:FINISH_CHARS])
        for key in ("delta", "message"):
            if isinstance(message := choice.get(key), dict):
                return self._add_message(message)
        return ""

    def _add_message(self, message: dict[str, Any]) -> str:
        content, refusal = message.get("content"), message.get("refusal")
        text = content if isinstance(content, str) else text_of_parts(content)
        self.texts.append(text)
        self.thoughts.append(thinking_of(message))
        if isinstance(refusal, str):
            self.refusals.append(refusal)
        for place, call in enumerate(dicts_in(message.get("tool_calls"))):
            index = count_tokens(call.get("index"))
            self._add_arguments(place if index is None else index, call.get("function"))
        self._add_arguments(0, message.get("function_call"))
        return make_encodable(text)

    def _add_arguments(self, index: int, function: object) -> None:
        given = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(given, dict):  # some servers parse them
            given = json.dumps(given)
        if isinstance(given, str) and index < MAX_CALLS:
            self.tool_calls.setdefault(index, []).append(given)

    def _add_usage(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        # no prompt is empty: a server that says so does not count
        self.n_input = count_tokens(usage.get("prompt_tokens")) or self.n_input
        n_output = count_tokens(usage.get("completion_tokens"))
        self.n_output = self.n_output if n_output is None else n_output
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        self.n_cached = count_tokens(cached) or self.n_cached
        self.usd = read_cost(usage.get("cost")) if "cost" in usage else self.usd


def dicts_in(value: object) -> Iterable[dict[str, Any]]:
    """Yield the objects of a list; nothing for any other value."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def text_of_parts(content: object) -> str:
    """Return the text of a content that is a list of parts, without the parts that think."""
    parts = [content] if isinstance(content, dict) else content
    given = list(parts) if isinstance(parts, list) else []
    texts = [
        part if isinstance(part, str) else part.get("text")
        for part in given
        if isinstance(part, str) or (isinstance(part, dict) and not is_thinking(part))
    ]
    return "".join(text for text in texts if isinstance(text, str))


def is_thinking(part: dict[str, Any]) -> bool:
    """Whether a part of a content is the model's thinking."""
    return str(part.get("type")).rpartition("_")[2] in ("thinking", "reasoning")


def thinking_of(message: dict[str, Any]) -> str:
    """Return the reasoning text of a message or delta, under whichever name an endpoint sends it.

    Some send the same text under two names; the first that holds any is taken.
    """
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(text := message.get(name), str) and text:
            return text
    thinking = [part for part in dicts_in(message.get("content")) if is_thinking(part)]
    details = [*dicts_in(message.get("reasoning_details")), *thinking]
    return "".join(first_text(part, ("text", "thinking", "summary")) for part in details)


def first_text(part: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of these fields that is a text, or a list of parts with texts."""
    for name in names:
        value = part.get(name)
        text = value if isinstance(value, str) else text_of_parts(value)
        if text:
            return text
    return ""


def reply_problem(error: object) -> ReplyProblemError:
    """Return what an error means that was sent with status 200."""
    fields = error if isinstance(error, dict) else {"message": error}
    message = next(
        (
            text
            for name in ("message", "detail", "msg", "type")
            if isinstance(text := fields.get(name), str) and text
        ),
        "an error without a message",
    )
    codes = (fields.get(name) for name in ("code", "status", "status_code"))
    status = next((number for number in map(http_status, codes) if number), 0)
    return ReplyProblemError(make_encodable(message)[:400], status)


def http_status(code: object) -> int:
    """Return the HTTP status of an error that a code names; 0 for any other code."""
    if isinstance(code, str) and re.fullmatch(r"[45]\d\d", code):
        return int(code)
    if isinstance(code, bool) or not isinstance(code, int):
        return 0
    return code if 400 <= code < 600 else 0


class ReplyReader:
    """Reads an answer from its bytes; whether they are a stream of events is seen from them."""

    def __init__(self, completion: Completion) -> None:
        self.completion = completion
        self.is_over = False  # [DONE] was read
        self._n_bytes, self._n_events = 0, 0
        self._buffer = bytearray()  # the whole answer, or the last line of a stream so far
        self._data: list[bytes] = []  # of the event so far
        self._is_stream: bool | None = None

    def read(self, raw: bytes) -> str:
        """Take some bytes; return the text that they complete.

        Raises ReplyFormatError, ReplyProblemError.
        """
        self._n_bytes += len(raw)
        if self._n_bytes > MAX_REPLY_BYTES:
            raise ReplyTooLongError(f"more than {MAX_REPLY_BYTES // 2**20} MiB")
        self._buffer += raw
        if self._is_stream is None and (
            head := bytes(self._buffer[:64]).strip(b"\xef\xbb\xbf \r\n\t")
        ):
            self._is_stream = not head.startswith((b"{", b"["))
            self._buffer = bytearray(bytes(self._buffer).lstrip(b"\xef\xbb\xbf"))
        return self._read_lines() if self._is_stream and EVENT_END.search(raw) else ""

    def close(self) -> str:
        """Take the end of the answer; return the text that is left. Raises as `read`."""
        text = ""
        if not self._is_stream:
            value = parse_reply(bytes(self._buffer))
            text = self.completion.add(value)
            if "choices" not in value and any(key in value for key in ("message", "detail")):
                raise reply_problem(value)
        elif not self.is_over:
            self._buffer += b"\n\n"
            text = self._read_lines()
            if not self._n_events:
                raise ReplyFormatError("it holds neither JSON nor events")
        if not self.completion.n_choices:
            raise ReplyFormatError("it has no choices")
        return text

    def _read_lines(self) -> str:
        *lines, rest = EVENT_END.split(bytes(self._buffer))
        self._buffer = bytearray(rest)
        return "".join(self._read_line(line) for line in lines if not self.is_over)

    def _read_line(self, line: bytes) -> str:
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        if line or not self._data:
            return ""
        data, self._data = b"\n".join(self._data), []
        if data.startswith(b"[DONE]"):
            self.is_over = True
            return ""
        self._n_events += 1
        return self.completion.add(parse_reply(data))
