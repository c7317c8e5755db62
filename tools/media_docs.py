"""The part of docs/task.md on side files, with a worked example that runs."""

from __future__ import annotations

MEDIA_TEXT = """
## Pictures, sounds and other files of the rows
Folders and archives (zip, tar, 7z) beside the tables are media: they are mounted once and never
copied per script, archives are unpacked once per run. `input/index.csv` says which files belong to
which row, for training and test rows: the id, `part` (train or test) and `path` below `input/`. A
row finds its files by their names: a cell of its id, or of another column, is a file's name, stem,
path or folder. The preview and the profile describe every kind of file: how many rows have one,
sizes, colour modes, rates, lengths, shapes, columns.

What tells the labels is not mounted, and the report says it: a second copy of the training table
in whatever container (csv, parquet, JSON, arrays, texts, archives), found by its content, and
tables with labels of the rows to predict (`solution.csv`, `test_labels.csv`, a test table with the
target): their ids, or features, beside a column with the target's name, or one that has its values
and whose name, or whose file's, says labels. Where names of files or folders tell the label
(`train/cat/1.jpg`, `cat.1.jpg`), scripts find the files
under other names. Files of rows that are held back for an audit lie among the files of the test
rows, under ids and names like theirs. Where that cannot be so (files of many rows in one, tables
of the training rows alone, a disk that cannot link files), no rows are held back; the report gives
the reason.

An example, from nothing: pictures of two kinds of sky.

```python
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

rng = np.random.default_rng(7)
rows = pd.DataFrame({"id": [rng.bytes(4).hex() for _ in range(160)]})
rows["sky"] = rng.choice(["clear", "cloudy"], len(rows))
train, test = rows[:120], rows[120:]
for part, frame in (("train", train), ("test", test)):
    folder = Path("sky") / part
    folder.mkdir(parents=True)
    for row in frame.itertuples():
        colour = [90, 130, 200] if row.sky == "clear" else [140, 150, 165]
        haze = rng.uniform(0, 90)  # some pictures are hard
        pixels = rng.normal(colour, 40, (24, 24, 3)) * (1 - haze / 100) + haze * 1.5
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{row.id}.png")
train.to_csv("sky/train.csv", index=False)
test[["id"]].assign(clear=0.5, cloudy=0.5).to_csv("sky/sample_submission.csv", index=False)
Path("sky/description.md").write_text("Is the sky clear or cloudy?\\nScored by log loss.\\n")
```

There is no test table: the rows to predict are those of the sample. What is read is shown first:

```bash
gome init sky
```

Then it is solved, here from Python (`gome run sky` does the same), by the embedded expert, whose
first script computes statistics and small versions of the pictures:

```python
import gome

outcome = gome.solve("sky", traces=1, steps=2, memory="off")
print(outcome.score, outcome.submission)
```

![The report of the example](pictures/report-sky.png)
"""
