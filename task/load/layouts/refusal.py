"""Say in one sentence why no reader fits a folder, and what to do."""

from __future__ import annotations

from task.load.layouts.remedy import need_reader
from task.load.layouts.scene import Scene
from task.types import TaskError

N_SHOWN = 5


def refuse_layout(scene: Scene) -> TaskError | None:
    """Return why labels and rows were not found; None where the folder has tables alone.

    A folder of tables has its own refusals, which name the remedy.
    """
    inventory = scene.inventory
    if not inventory.sources and not inventory.texts and not inventory.others:
        return None
    if scene.sample is None:
        found = list_contents(scene)
        return need_reader(
            f"{scene.root} has no training and test table and no sample submission "
            f"(it has {found}), so nothing says what to predict"
        )
    asked = ", ".join(str(name) for name in scene.sample.frame.columns[:N_SHOWN])
    unread = "".join(f"; {name} cannot be read: {why}" for name, why in unread_items(scene))
    return need_reader(
        f"{scene.root}: {scene.name_path(scene.sample_path or scene.root)} asks for {asked} and "
        f"the labels are in no table, folder or file name that a reader understands "
        f"(there are {list_contents(scene)}{unread})"
    )


def unread_items(scene: Scene) -> list[tuple[str, str]]:
    """List archives that cannot be listed, with the reason."""
    return list(scene.inventory.unread.items())[:2]


def list_contents(scene: Scene) -> str:
    """Name what a folder contains beside the sample."""
    inventory = scene.inventory
    names = [scene.name_path(path) for path in (*inventory.tables, *inventory.texts)]
    names = [name for name in names if scene.root / name != scene.sample_path]
    names += [path.name for path in inventory.others]
    for source in inventory.sources:
        what = (
            f" with {len(source.files):,} files, mostly {source.common_suffix or 'without ending'}"
        )
        names.append(source.path.name + (what if source.files else ""))
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return ", ".join(names[:N_SHOWN]) + more
