"""Link the rows of a sample to files: by name, stem, folder or path below a role's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from task.load.layouts.scene import MIN_MATCH, RoleFile

KEYS: dict[str, Callable[[RoleFile], str]] = {
    "name": lambda file: PurePosixPath(file.name).name,
    "stem": lambda file: file.stem,
    "path": lambda file: file.name,
    "folder": lambda file: file.parts[-1],
}


def link_files(ids: Iterable[str], files: list[RoleFile]) -> dict[str, RoleFile]:
    """Return id -> its file, for the key by which at least MIN_MATCH of the ids have just one.

    Empty where no key does it.
    """
    wanted = set(ids)
    for key in KEYS.values():
        found: dict[str, RoleFile] = {}
        repeated = set()
        for file in files:
            text = key(file)
            if text in found:
                repeated.add(text)
            found[text] = file
        linked = {text: found[text] for text in wanted if text in found and text not in repeated}
        if wanted and len(linked) >= MIN_MATCH * len(wanted):
            return linked
    return {}
