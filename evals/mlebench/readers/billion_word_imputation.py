"""Each line of the training text is a whole sentence: one inner word is taken out of it."""

import csv
import io
import random
import zipfile
from pathlib import Path

MAX_LINES = 500_000


def open_text(name):
    archive = zipfile.ZipFile(f"input/{name}")
    return io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8", newline="")


chance = random.Random(0)
with Path("labels.csv").open("w", newline="", encoding="utf-8") as file:
    out = csv.writer(file)
    out.writerow(["id", "incomplete", "sentence"])
    for number, line in enumerate(open_text("train_v2.txt.zip")):
        words = line.split()
        if number >= MAX_LINES or len(words) < 3:
            continue
        gap = chance.randrange(1, len(words) - 1)
        incomplete = " ".join(words[:gap] + words[gap + 1 :])
        out.writerow([f"train{number}", incomplete, " ".join(words)])
with Path("rows.csv").open("w", newline="", encoding="utf-8") as file:
    out = csv.writer(file)
    out.writerow(["id", "incomplete"])
    for row in csv.DictReader(open_text("test_v2.txt.zip")):
        out.writerow([row["id"], row["sentence"]])
