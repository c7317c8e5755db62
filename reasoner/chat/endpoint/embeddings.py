"""The parser of embeddings that an endpoint sends, and the HTTP client that applies it.

As with chat answers, the library above sees a plain answer that our parser understood.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import TYPE_CHECKING, Any

from openai import DefaultHttpxClient

from reasoner.chat.endpoint.completion import (
    ReplyFormatError,
    check_encoding,
    count_tokens,
    dicts_in,
    parse_reply,
    reply_problem,
)
from reasoner.chat.endpoint.redirects import MAX_REDIRECTS, RedirectedError, next_request
from reasoner.chat.endpoint.transfer import MAX_ERROR_BYTES, plain_response

if TYPE_CHECKING:
    import httpx2 as httpx

MAX_WIDTH = 65_536
MAX_TEXT_BYTES = 2**20  # of the answer, for each text


class CheckedEmbeddingClient(DefaultHttpxClient):
    """Client whose responses are plain and bounded."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request for embeddings. Raises ReplyFormatError, RedirectedError, and its own."""
        asked = json.loads(request.content or b"{}").get("input", [])
        n_texts = len(asked) if isinstance(asked, list) else 1
        response = self._follow(request, options)
        try:
            if not response.is_success:
                content, _ = read_bounded(response, MAX_ERROR_BYTES)
                return plain_response(response, request, content=content)
            limit = MAX_TEXT_BYTES * (n_texts + 1)
            content, is_whole = read_bounded(response, limit)
        finally:
            response.close()
        if not is_whole:
            raise ReplyFormatError(f"it is longer than {limit // 2**20} MiB")
        rows = [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(parse_vectors(content, n_texts))
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        reply = {"object": "list", "model": "", "data": rows, "usage": usage}
        return plain_response(response, request, content=json.dumps(reply).encode())

    def _follow(self, request: httpx.Request, options: dict[str, Any]) -> httpx.Response:
        fixed = {**options, "stream": True, "follow_redirects": False}
        for _ in range(MAX_REDIRECTS):
            response = super().send(request, **fixed)
            try:
                following = next_request(response)
                check_encoding(response.headers.get("content-encoding", ""))
            except (RedirectedError, ReplyFormatError):
                response.close()
                raise
            if following is None:
                return response
            response.close()
            request = following
        raise RedirectedError(f"it redirects more than {MAX_REDIRECTS} times")


def read_bounded(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Return the body of a response up to a limit, and whether that is all of it."""
    content = bytearray()
    for raw in response.iter_bytes():
        content += raw
        if len(content) > limit:
            return bytes(content[:limit]), False
    return bytes(content), True


def parse_vectors(raw: bytes, n_texts: int) -> list[list[float]]:
    """Return a vector of finite numbers for each text, all of one width.

    Raises ReplyFormatError, ReplyProblemError.
    """
    value = parse_reply(raw)
    if value.get("error"):
        raise reply_problem(value["error"])
    rows: dict[int, list[float]] = {}
    for place, item in enumerate(dicts_in(value.get("data"))):
        index = count_tokens(item.get("index"))
        rows[place if index is None else index] = parse_vector(item.get("embedding"))
    if sorted(rows) != list(range(n_texts)):
        raise ReplyFormatError(f"it has {len(rows)} vectors for {n_texts} texts")
    widths = {len(row) for row in rows.values()}
    if len(widths) > 1:
        raise ReplyFormatError("its vectors differ in width")
    return [rows[index] for index in range(n_texts)]


def parse_vector(value: object) -> list[float]:
    """Return a vector given as a list of numbers, or as single-precision floats in base64.

    Raises ReplyFormatError.
    """
    try:
        if isinstance(value, str):
            data = base64.b64decode(value, validate=True)
            numbers: list[Any] = list(struct.unpack(f"<{len(data) // 4}f", data))
        else:
            numbers = value if isinstance(value, list) else []
        if any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers):
            raise ReplyFormatError("a vector of it holds something that is no number")
        vector = [float(each) for each in numbers]
    except (ValueError, struct.error, OverflowError) as error:
        raise ReplyFormatError(f"a vector of it cannot be read ({str(error)[:80]})") from None
    if not 0 < len(vector) <= MAX_WIDTH:
        raise ReplyFormatError(f"a vector of it has {len(vector)} numbers")
    if not all(map(math.isfinite, vector)):
        raise ReplyFormatError("a vector of it is not finite")
    return vector
