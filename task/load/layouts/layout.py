"""Read a folder that is no pair of train and test tables: the first reader that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from task.load import roles
from task.load.layouts.inventory import list_folder
from task.load.layouts.reader_script import read_by_script
from task.load.layouts.readers.annotations import read_annotations
from task.load.layouts.readers.boxes import read_boxes
from task.load.layouts.readers.features_and_labels import read_features_and_labels
from task.load.layouts.readers.folder_tables import read_folder_tables
from task.load.layouts.readers.gathered import read_gathered
from task.load.layouts.readers.indicators import split_indicators
from task.load.layouts.readers.long_rows import read_long_rows
from task.load.layouts.readers.masks import read_masks
from task.load.layouts.readers.names import read_names
from task.load.layouts.readers.pixels import read_pixels
from task.load.layouts.readers.positions import read_positions
from task.load.layouts.readers.ragged import read_ragged
from task.load.layouts.readers.spans import read_spans
from task.load.layouts.readers.stacked import read_stacked
from task.load.layouts.readers.tables import read_label_tables
from task.load.layouts.readers.transactions import read_transactions
from task.load.layouts.readers.visits import read_visits
from task.load.layouts.refusal import refuse_layout
from task.load.layouts.scene import LayoutTables, Scene
from task.load.tables import read_table
from task.types import LayoutKeys, TaskError

Reader = Callable[[Scene], LayoutTables | None]
READERS: tuple[Reader, ...] = (
    read_spans,
    read_stacked,
    read_long_rows,
    read_positions,
    read_boxes,
    read_visits,
    read_transactions,
    read_gathered,
    read_features_and_labels,
    read_label_tables,
    read_annotations,
    read_folder_tables,
    read_ragged,
    read_pixels,
    read_masks,
    read_names,
)


def read_layout(root: Path, keys: LayoutKeys) -> LayoutTables | None:
    """Read labels and rows to predict of a folder; None for tables that no reader understands.

    Raises TaskError where a reader finds them and they contradict each other, or where a folder
    of other files needs a reader of its own.
    """
    scene = look_at_folder(root, keys)
    if keys.reader:
        return read_by_script(scene, root / keys.reader)
    for read in READERS:
        if found := read(scene):
            check_columns(found)
            return found if scene.sample is None else split_indicators(found, scene.sample.frame)
    if refusal := refuse_layout(scene):
        raise refusal
    return None


def check_columns(made: LayoutTables) -> None:
    """Refuse tables in which two columns have one name. Raises TaskError."""
    for table in (made.train, made.test):
        names = [str(name) for name in table.frame.columns]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise TaskError(
                f"{made.labels}: a column of the files is called {min(repeated)!r}, as a column of "
                "the sample submission that means something else; rename it in the files"
            )


def read_layout_again(root: Path, keys: LayoutKeys) -> LayoutTables:
    """Read what was read before. Raises TaskError where the folder has changed since."""
    found = read_layout(root, keys)
    if found is None:
        raise TaskError(f"{root} has changed since the task was read; restore it")
    return found


def look_at_folder(root: Path, keys: LayoutKeys) -> Scene:
    """List a folder and read its sample submission. Raises TaskError."""
    try:
        inventory = list_folder(root)
    except (OSError, ValueError) as error:
        raise TaskError(f"{root} cannot be listed ({error})") from error
    path = root / keys.sample if keys.sample else choose_sample(inventory.tables)
    return Scene(inventory, keys, path, read_table(path) if path else None)


def choose_sample(tables: list[Path]) -> Path | None:
    """Choose the sample submission by its name, the plainest first."""
    named = [path for path in tables if roles.SAMPLE_PATTERN.search(path.name)]
    return min(
        named,
        key=lambda path: (len(path.parts), "sample" not in path.name.lower(), path.name),
        default=None,
    )
