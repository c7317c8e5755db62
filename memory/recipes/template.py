"""The file that `gome recipes new` writes: a whole recipe with a hint in every line."""

from __future__ import annotations

import yaml

TEXT = """\
---
id: {id}
title: Say in one line what it does
version: 1
licence: MIT
author: ""
component: features  # data, features, model, ensemble or workflow
cost: low  # low, medium or high, beside the plain script
when:  # every line must hold; leave out what does not matter (`gome recipes traits`)
  modality: [table]  # one of these
  task: [binary, regression]  # one of these
  data: [several_numeric]  # all of these
  rows: {{max: 100000}}
causes:  # what a diagnosis would say where this helps
  - "two columns matter by their ratio"
---
## What
What to do, with exact settings, in two or three sentences.

## Why
Why it works, so that a reader knows when it does not.

## Pitfalls
What goes wrong: leaks, sizes, other metrics.

## Code
```python
# Redefine one step of the plain script: prepare, choose_rows, encode, to_target, from_target,
# fit_predict, finish or decide (docs/recipes.md). np and pd are imported; NUMERIC lists columns.
def prepare(train, test):
    a, b = NUMERIC[:2]
    for table in (train, test):
        table["ratio"] = table[a] / (table[b].abs() + 1e-6)
    return train, test
```
"""


def recipe_template(name: str) -> str:
    """Return the text of a new recipe of this id, in quotes where YAML would read no text."""
    return TEXT.format(id=name if isinstance(yaml.safe_load(name), str) else f'"{name}"')
