"""Small tasks of other kinds than a table, to read the prompts for them and to measure recipes on.

Pictures: handwritten digits of scikit-learn (Alpaydin and Kaynak, 1998) as PNG files.
Texts: the paragraphs of this project's manual, by the part in which they stand.
Sounds and series are generated: tones and waves in noise, three classes each.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

DOCS = Path(__file__).parents[2] / "docs"
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


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a csv."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_sounds(folder: Path) -> None:
    """Write the task of tones: three bands of pitch that overlap, with or without an overtone."""
    from scipy.io import wavfile

    rng, time = np.random.default_rng(0), np.arange(8_000) / 8_000

    def make(path: Path, label: int) -> None:
        hertz = (220, 330, 470)[label] * rng.uniform(0.8, 1.25)
        wave = np.sin(2 * np.pi * hertz * time * (1 + 0.1 * label * time))
        wave = wave + 0.4 * (label == 1) * np.sin(6 * np.pi * hertz * time)
        wave = wave + rng.normal(0, 1.2, len(time))
        wavfile.write(path, 8_000, (20_000 * wave / np.abs(wave).max()).astype(np.int16))

    text = "# sounds\n\nTones in noise: `train/ID.wav` and `test/ID.wav`. Predict `kind`."
    write_generated(folder, "kind", ".wav", 180, text, rng, make)


def write_series(folder: Path) -> None:
    """Write the task of waves: their length tells the class; a second channel tells nothing."""
    rng, time = np.random.default_rng(1), np.arange(200)

    def make(path: Path, label: int) -> None:
        wave = np.sin(2 * np.pi * time / (20, 23, 27)[label] + rng.uniform(0, 6))
        values = np.column_stack([time, np.cumsum(rng.normal(0, 1, 200)), wave])
        values[:, 2] += rng.normal(0, 1, 200)
        write_table(path, ["t", "u", "v"], values.round(3).tolist())

    text = "# series\n\nA machine's sensors: `train/ID.csv` and `test/ID.csv`. Predict `state`."
    write_generated(folder, "state", ".csv", 210, text, rng, make)


def write_generated(
    folder: Path,
    target: str,
    ending: str,
    n_rows: int,
    text: str,
    rng: np.random.Generator,
    make: Callable[[Path, int], None],
) -> None:
    """Write a file per row and the tables of a task of three classes, scored by accuracy."""
    rows = []
    for index in range(n_rows):
        part, label = "train" if index % N_TEST_SHARE else "test", int(rng.integers(3))
        (folder / part).mkdir(parents=True, exist_ok=True)
        make(folder / part / f"r{index:04}{ending}", label)
        rows.append((part, f"r{index:04}", "abc"[label]))
    known = [row[1:] for row in rows if row[0] == "train"]
    write_table(folder / "train.csv", ["id", target], known)
    sample = [(name, "a") for part, name, _ in rows if part == "test"]
    write_table(folder / "sample_submission.csv", ["id", target], sample)
    (folder / "description.md").write_text(f"{text}\n\nMetric: accuracy.\n")


WRITERS: dict[str, Callable[[Path], None]] = {
    "pictures": write_pictures,
    "texts": write_texts,
    "sounds": write_sounds,
    "series": write_series,
}
