"""Small real tasks of other kinds than a table, to read the prompts for them.

Pictures: handwritten digits of scikit-learn (Alpaydin and Kaynak, 1998) as PNG files.
Texts: the paragraphs of this project's manual, by the part in which they stand.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

DOCS = Path(__file__).parent.parent / "docs"
PARTS = {"decision": "decisions/*.md", "result": "results/*.md", "guide": "*.md"}
N_TEST_SHARE = 3  # every third row is a test row
N_PICTURES, MIN_WORDS = 600, 12


def write_pictures(folder: Path) -> None:
    """Write the task of digits: train/ and test/ with a PNG for each row, labels in train.csv."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = []
    for index in range(N_PICTURES):
        part = "train" if index % N_TEST_SHARE else "test"
        (folder / part).mkdir(parents=True, exist_ok=True)
        pixels = (digits.images[index] * 255 / 16).astype("uint8")
        Image.fromarray(pixels).resize((32, 32)).save(folder / part / f"d{index:04}.png")
        rows.append((part, f"d{index:04}", str(digits.target[index])))
    write_table(
        folder / "train.csv", ["id", "digit"], [row[1:] for row in rows if row[0] == "train"]
    )
    sample = [(name, "0") for part, name, _ in rows if part == "test"]
    write_table(folder / "sample_submission.csv", ["id", "digit"], sample)
    (folder / "description.md").write_text(
        "# digits\n\nHandwritten digits, scanned. `train/ID.png` and `test/ID.png` show one digit "
        "each; `train.csv` says which. Predict `digit` of every test picture.\n\n"
        "Metric: accuracy.\n"
    )


def write_texts(folder: Path) -> None:
    """Write the task of paragraphs: a column of text, a probability for each part of the manual."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(paragraphs())
    Random(0).shuffle(rows)
    named = [(f"p{index:04}", text, part) for index, (text, part) in enumerate(rows)]
    test = named[::N_TEST_SHARE]
    train = [row for row in named if row not in test]
    write_table(folder / "train.csv", ["id", "text", "part"], train)
    write_table(folder / "test.csv", ["id", "text"], [row[:2] for row in test])
    sample = [(row[0], *["0.333"] * len(PARTS)) for row in test]
    write_table(folder / "sample_submission.csv", ["id", *sorted(PARTS)], sample)
    (folder / "description.md").write_text(
        "# paragraphs\n\nParagraphs of a software manual. Predict from `text` the probability of "
        "each `part` in which a paragraph may stand: decision, guide or result.\n\n"
        "Metric: multi-class log loss.\n"
    )


def paragraphs() -> Iterator[tuple[str, str]]:
    """Yield paragraphs of the manual with their part."""
    for part, pattern in PARTS.items():
        for path in sorted(DOCS.glob(pattern)):
            for block in path.read_text().split("\n\n"):
                words = block.split()
                if len(words) >= MIN_WORDS and not block.startswith(("|", "#", "```", "<")):
                    yield " ".join(words), part


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a csv."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


WRITERS: dict[str, Callable[[Path], None]] = {"pictures": write_pictures, "texts": write_texts}
