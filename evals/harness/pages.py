"""Parts that the studies' pages share: Markdown tables, results files, figures, command lines."""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.harness.answers import keep_answer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = Path("evals/data")
"""Rows of published studies, relative to the checkout."""
CACHE = Path("~/.cache/gome/evals").expanduser()
"""Where studies store recorded executions and results files by default."""


def table_row(cells: Iterable[str]) -> str:
    """Return one row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def table_head(cells: Sequence[str]) -> list[str]:
    """Return the two head lines of a Markdown table."""
    return [table_row(cells), "|---" * len(cells) + "|"]


def skill_head(label: str, skills: Iterable[float]) -> list[str]:
    """Return the head of a table with one column per skill."""
    return table_head([label, *(f"q = {q:g}" for q in skills)])


def read_rows(path: Path) -> list[Any]:
    """Return the rows of a results file, packed or not; none where there is no file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()]


def append_row(path: Path, row: Any) -> None:
    """Append one row to a results file."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows_note(command: str, *files: Path) -> str:
    """Return how a page is made of rows that the repository holds; empty: of other rows."""
    if any(path.parent != DATA for path in files):
        return ""
    names = " ".join(map(str, files))
    return f"\n*Its runs are in the repository: `{command} {names}` makes this page of them.*\n"


def page_parser(about: str | None, runs: str) -> argparse.ArgumentParser:
    """Return the command line of a page that is written from the results file `runs`."""
    parser = study_parser(about)
    parser.add_argument("--runs", type=Path, default=CACHE / runs)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    return parser


def study_parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows the module's docstring as it is."""
    return argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def write_study_page(folder: Path, name: str, text: str) -> None:
    """Write a page into the folder of results and print it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(keep_answer(folder / name, text))
    print(text)


@contextmanager
def draw_figure(path: Path, size: tuple[float, float], n_panels: int = 1) -> Iterator[list[Axes]]:
    """Yield the axes of a figure with panels side by side, and save it to `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, n_panels, figsize=size, dpi=110, sharey=True, squeeze=False)
    for axes in panels[0]:
        axes.spines[["top", "right"]].set_visible(False)
    yield list(panels[0])
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
