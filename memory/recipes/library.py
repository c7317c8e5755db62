"""Where recipes are: Gome's own, and a folder of this user's or team's.

A folder may come from anybody. Only plain files named ID.md are read, each within its bound, so
many at most; what cannot be used is named and left out.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from memory.recipes.evidence import read_evidence, with_evidence
from memory.recipes.spec import FILE_BYTES, Recipe, RecipeError, parse_recipe
from report.formatting import format_plural

BOOK = Path(__file__).parent / "book"
MAX_FILES = 500
MAX_PROBLEMS = 20
CLONE_S = 120
GIT = (
    *("git", "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false"),
    *("-c", "protocol.ext.allow=never", "-c", "core.fsmonitor=false"),
)
OFF = "off"
REMOTE = ("https://", "http://", "ssh://", "git://", "git@", "file://")


class Library(NamedTuple):
    """Recipes in the order of their ids, and what was left out, a sentence each."""

    recipes: list[Recipe]
    problems: list[str]


class Added(NamedTuple):
    """What `add_recipes` copied, and what it refused."""

    names: list[str]
    problems: list[str]
    notes: list[str]
    """What became of measurements that the folder held, a sentence each."""


def load_library(where: str) -> Library:
    """Return Gome's own recipes and those of the folder `where`; one of the same id replaces it.

    `where`: a folder, which need not exist, or "off": no recipes at all.
    """
    if where == OFF:
        return Library([], [])
    own, folder = read_folder(BOOK, own=True), Path(where).expanduser()
    others = read_folder(folder)
    if folder.exists() and not folder.is_dir():
        others.problems.append(f"{folder}: is not a folder")
    known = {recipe.id: recipe for recipe in own.recipes}
    for recipe in others.recipes:  # a copy of Gome's own is Gome's own, with its numbers
        if known.get(recipe.id) != recipe.model_copy(update={"source": ""}):
            known[recipe.id] = recipe
    return Library([known[key] for key in sorted(known)], own.problems + others.problems)


def read_folder(folder: Path, *, own: bool = False) -> Library:
    """Return the recipes of a folder's *.md files; `own`: they are part of Gome."""
    recipes: list[Recipe] = []
    problems: list[str] = []
    names = sorted(path.name for path in folder.glob("*.md")) if folder.is_dir() else []
    names = [name for name in names if name != "README.md"]
    if len(names) > MAX_FILES:
        problems.append(f"{folder}: has {len(names):,} files; the first {MAX_FILES} are read")
    for name in names[:MAX_FILES]:
        try:
            text = read_plain_file(folder / name)
            recipes.append(parse_recipe(text, str(folder / name), "" if own else str(folder)))
        except RecipeError as error:
            problems.append(str(error))
    return Library(recipes, problems[:MAX_PROBLEMS])


def read_plain_file(path: Path) -> bytes:
    """Return the bytes of a bounded plain file; a link, a pipe or a device is none.

    Raises RecipeError.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RecipeError(f"{path}: is not a plain file")
            return file.read(FILE_BYTES + 1)
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
        raise RecipeError(f"{path}: {why}") from None


def add_recipes(source: str, where: str) -> Added:
    """Copy the valid recipes of a file, a folder or a git repository into the folder `where`.

    In a repository those of its folder `recipes/`, else of its root. Raises RecipeError.
    """
    if where == OFF:
        raise RecipeError("recipes are off; name a folder with --recipes")
    target = Path(where).expanduser()
    with _opened(source) as path:
        if path.is_dir():
            found = read_folder(path)
        else:
            recipe = parse_recipe(read_plain_file(path), str(path), str(path.parent))
            found = Library([recipe], [])
        if not found.recipes and not found.problems:
            raise RecipeError(f"{source}: there is no file ID.md in it")
        make_folder(target)
        names, notes, n_there = list[str](), list[str](), len(list(target.glob("*.md")))
        for recipe in found.recipes:
            if not (target / recipe.name).exists():
                if n_there >= MAX_FILES:
                    found.problems.append(f"{recipe.id}: {target} has {MAX_FILES} files already")
                    continue
                n_there += 1
            notes += _add_one(recipe, path if path.is_dir() else path.parent, target)
            names.append(recipe.name)
    return Added(names, found.problems, notes)


def _add_one(recipe: Recipe, folder: Path, target: Path) -> list[str]:
    """Copy a recipe; numbers of this user for the same code and conditions stay. Return notes."""
    text, known = read_plain_file(folder / recipe.name), None
    if (target / recipe.name).exists():
        with suppress(RecipeError):
            known = parse_recipe(read_plain_file(target / recipe.name), recipe.name, str(target))
    evidence = read_evidence(known) if known else None
    notes = []
    if known and evidence and evidence.tasks:
        mine = recipe.model_copy(update={"source": str(target), "evidence": known.evidence})
        n_tasks = format_plural(len(evidence.tasks), "task")
        if read_evidence(mine):
            text = with_evidence(text.decode("utf-8-sig"), mine, evidence).encode()
            notes.append(f"{recipe.id}: keeps what you measured on {n_tasks}")
        else:
            notes.append(
                f"{recipe.id}: its code or conditions are others, so what you measured on "
                f"{n_tasks} is dropped"
            )
    _write_whole(target / recipe.name, text)
    return notes


def make_folder(folder: Path) -> Path:
    """Make a folder for recipes unless it exists. Raises RecipeError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"{folder}: cannot be a folder ({error.strerror})") from None
    return folder


def export_recipes(recipes: Sequence[Recipe], target: Path) -> int:
    """Copy the files of recipes into a new or empty folder; return how many."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RecipeError(f"{target}: exists and is not an empty folder; name a new one")
    make_folder(target)
    for recipe in recipes:
        _write_whole(target / recipe.name, read_plain_file(recipe_path(recipe)))
    return len(recipes)


def recipe_path(recipe: Recipe) -> Path:
    """Return the file that a recipe was read from."""
    return (Path(recipe.source) if recipe.source else BOOK) / recipe.name


def read_recipe_text(recipe: Recipe) -> str:
    """Return the text of a recipe's file. Raises RecipeError."""
    return read_plain_file(recipe_path(recipe)).decode("utf-8-sig", "replace")


def write_recipe_file(recipe: Recipe, text: str) -> None:
    """Replace a recipe's file. Raises RecipeError."""
    parse_recipe(text, recipe.name, recipe.source)
    _write_whole(recipe_path(recipe), text.encode())


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be written ({error.strerror})") from None


@contextmanager
def _opened(source: str) -> Iterator[Path]:
    """A file or a folder; a repository is cloned for as long as it is read."""
    path = Path(source).expanduser()
    is_repository = source.startswith(REMOTE) or source.endswith(".git")
    if not is_repository:
        if not path.exists():
            raise RecipeError(f"{source}: there is no such file or folder")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gome-recipes-") as place:
        clone = Path(place) / "clone"
        _clone(source, clone)
        inner = clone / "recipes"
        yield inner if inner.is_dir() and not inner.is_symlink() else clone


def _clone(source: str, target: Path) -> None:
    if shutil.which("git") is None:
        raise RecipeError(f"{source}: git is not installed; copy the folder and name it instead")
    command = [*GIT, "clone", "--quiet", "--depth", "1", "--no-local", "--", source, str(target)]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=CLONE_S)
    except subprocess.TimeoutExpired:
        raise RecipeError(f"{source}: cloning takes more than {CLONE_S} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise RecipeError(f"{source}: git clone failed: {lines[-1][:200]}") from None
