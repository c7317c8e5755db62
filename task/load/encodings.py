"""Text encodings: by byte order mark, then UTF-8, then a detector; whatever is not UTF-8 is told.

Loaded by the task worker only.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

import numpy as np
from charset_normalizer import from_bytes

Buffer = bytes | memoryview
BLOCK_BYTES = 2**22
SAMPLE_BYTES = 2**16
MIN_SCORE = -0.5
NEARLY_ALL = 0.95
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WIDE_ENCODINGS = ["gb18030", "big5", "shift_jis", "euc_jp", "cp949"]
USUAL_LETTERS = {
    "cp1252": "éèàçêôâûîùëïüöäßñóíáúãõåæøœÉÖÄÜÅØÇÁÓÆ’–€",
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯ",
    "cp1250": "ąćęłńóśźżáčďéěíňřšťúůýžöüőűäôâîçßĄĆĘŁŃÓŚŹŻČĎĚŇŘŠŤÚŮÝŽÖÜŐŰÁÉÍ",
    "koi8_r": "абвгдежзийклмнопрстуфхцчшщъыьэюяёАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯ",
    "cp1253": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
    "cp1254": "ğışİĞŞçöüÇÖÜâîû",
    "cp1255": "אבגדהוזחטיכלמנסעפצקרשתםןףץך",
    "cp1256": "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءأإآؤئ",
    "mac_roman": "éèàçêôâûîùëïüöäßñóíáúãõåæøœÉÖÄÜÅØÇ",
    "cp850": "éèàçêôâûîùëïüöäßñóíáúãõåæøÉÖÄÜÅØÇ",
    "cp866": "абвгдежзийклмнопрстуфхцчшщъыьэюяёАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯ",
}
"""Encodings of one byte per letter, commonest first, and the letters that texts in them have."""
OTHER_SCRIPTS = ("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp866")


class Text(NamedTuple):
    """The bytes of a text in UTF-8 without a mark, and how it was written."""

    data: Buffer
    encoding: str
    is_guess: bool
    example: str  # a word that is not ASCII, where the encoding is a guess


def to_utf8(data: Buffer, hint: str | None = None) -> Text:
    """Return a text as UTF-8; `hint`: the encoding to prefer where it is a guess.

    Raises UnicodeError where no encoding fits.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if bytes(data[: len(mark)]) == mark:
            rest = memoryview(data)[len(mark) :]
            is_utf8 = encoding == "utf-8" and is_valid_utf8(rest)
            return Text(rest if is_utf8 else recode(rest, encoding), encoding, False, "")
    if wide := detect_wide(bytes(data[:1024])):
        return Text(recode(data, wide), wide, True, "")
    if is_valid_utf8(data):
        return Text(data, "utf-8", False, "")
    sample = lines_beyond_ascii(data)
    encoding = hint if hint and can_decode(sample, hint) else detect_encoding(sample)
    return Text(recode(data, encoding), encoding, True, example_word(sample, encoding))


def recode(data: Buffer, encoding: str) -> bytes:
    """Return the text as UTF-8."""
    return bytes(data).decode(encoding).encode("utf-8")


def is_valid_utf8(data: Buffer) -> bool:
    """Whether the bytes are UTF-8, read in blocks."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for start in range(0, len(view), BLOCK_BYTES):
            block = bytes(view[start : start + BLOCK_BYTES])
            if not block.isascii() or decoder.getstate()[0]:
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def detect_wide(head: bytes) -> str | None:
    """Return UTF-16 where every second byte of the beginning is (nearly) always zero."""
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        others = head[0::2] if encoding == "utf-16-le" else head[1::2]
        if len(zeros) > 4 and zeros.count(0) > 0.8 * len(zeros) and not others.count(0):
            return encoding
    return None


def lines_beyond_ascii(data: Buffer) -> bytes:
    """Return lines with bytes beyond ASCII, at most SAMPLE_BYTES, whole lines only."""
    found: list[bytes] = []
    size = 0
    for line in bytes(data).splitlines():
        if not line.isascii():
            found.append(line)
            size += len(line)
            if size > SAMPLE_BYTES:
                break
    return b"\n".join(found)


def detect_encoding(sample: bytes) -> str:
    """Return the likeliest encoding. Raises UnicodeError where none fits."""
    scores = {name: score_letters(sample, name) for name in USUAL_LETTERS}
    likeliest = max(scores, key=lambda name: scores[name])  # of equal ones the first
    if likeliest in ("cp1251", "koi8_r", "cp1253") and scores[likeliest] > NEARLY_ALL:
        return likeliest
    for name in ("shift_jis", "euc_jp"):
        if can_decode(sample, name) and has_kana(sample.decode(name)):
            return name
    best = from_bytes(sample, cp_isolation=[*WIDE_ENCODINGS, *USUAL_LETTERS]).best()
    if best is not None and best.encoding in WIDE_ENCODINGS:
        return best.encoding
    return likeliest if scores[likeliest] > MIN_SCORE else "latin-1"


def has_kana(text: str) -> bool:
    """Whether a tenth of the letters beyond ASCII are Japanese syllables."""
    beyond = [mark for mark in text if not mark.isascii()]
    return sum("\u3040" <= mark <= "\u30ff" for mark in beyond) >= 0.1 * len(beyond)


def score_letters(sample: bytes, encoding: str) -> float:
    """Return how usual the letters beyond ASCII are in an encoding, at most 1.

    Signs and capitals inside a word count against it.
    """
    if not can_decode(sample, encoding):
        return -np.inf
    text = sample.decode(encoding)
    beyond = [mark for mark in text if not mark.isascii()]
    usual = sum(mark in USUAL_LETTERS[encoding] for mark in beyond)
    odd = len(re.findall(r"(?<=[^\W\d_])[^\x00-\x7f\w’'´-](?=[^\W\d_])", text))
    if encoding in OTHER_SCRIPTS:
        odd += len(re.findall(r"[A-Za-z](?=[^\W\d_a-zA-Z])|[^\W\d_a-zA-Z](?=[A-Za-z])", text))
    case = sum(a.islower() and b.isupper() for a, b in zip(text, text[1:], strict=False))
    return (usual - odd - case) / max(1, len(beyond))


def can_decode(sample: bytes, encoding: str) -> bool:
    """Whether the bytes are text in an encoding."""
    try:
        sample.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def example_word(sample: bytes, encoding: str) -> str:
    """Return the first word beyond ASCII, so that a person sees whether the encoding is right."""
    text = sample.decode(encoding, "replace")
    marked = "".join(mark if mark.isalnum() or mark in "-'’" else " " for mark in text)
    return next((word for word in marked.split() if not word.isascii()), "")[:40]
