"""Scripts that build on earlier ones: what they name, what they are given, and the whole chain.

A script names attempts by their ids, written out. The files of those attempts, and of no others,
are mounted read-only below input/attempts/. Its record holds the hashes of their records, so that a
chain never changes.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from run.artifacts import ArtifactError
from run.attempt import OOF, SUBMISSION, Attempt, ExecutionRecord
from sandbox.protocol import KEEP_FOLDER

ATTEMPTS = "attempts"  # folder below input/
INDEX = f"{ATTEMPTS}/index.csv"
INDEX_COLUMNS = ("id", "what", "score", "score_se", "seconds", "lines", "kept")
MAX_CHAIN = 100  # attempts of a stored chain; the setting allows fewer
MAX_KEPT_FILES = 50
WORD = re.compile(r"[A-Za-z0-9_-]+")
LIKE_ID = re.compile(r"t\d{1,6}s\d{1,6}")
KEPT_NAME = re.compile(
    r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,3}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
)
Load = Callable[[str], Attempt]  # by the hash of its record


class Given(NamedTuple):
    """What one attempt gives to a later script; paths of files."""

    oof: str
    submission: str
    kept: dict[str, str]  # name below keep/

    def mounts(self, name: str) -> dict[str, str]:
        """Return the names below input/ under which attempt `name` is mounted, and their files."""
        folder = f"{ATTEMPTS}/{name}"
        kept = {f"{folder}/{KEEP_FOLDER}{key}": path for key, path in self.kept.items()}
        return {f"{folder}/{OOF}": self.oof, f"{folder}/{SUBMISSION}": self.submission} | kept


def count_code_lines(script: str) -> int:
    """Return the number of lines that hold code."""
    lines = [line.strip() for line in script.splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


# what a script names


def find_named(script: str, known: Iterable[str]) -> list[str]:
    """Return those of the known ids that a script writes out, where it reads input/attempts/.

    Comments and docstrings do not count. An id that is put together from parts is not found, and
    so its files are not there.
    """
    words = _named_words(script)
    return [name for name in known if name in words]


def find_missing(script: str, given: Iterable[str]) -> list[str]:
    """Return the ids that a script seems to name, but was not given."""
    words = _named_words(script) - set(given)
    return sorted(word for word in words if LIKE_ID.fullmatch(word))


def reads_attempts(script: str) -> bool:
    """Whether a script seems to read input/attempts/."""
    return any(ATTEMPTS in text for text in _list_texts(script))


def _named_words(script: str) -> set[str]:
    texts = _list_texts(script)
    if not any(ATTEMPTS in text for text in texts):
        return set()
    return {word for text in texts for word in WORD.findall(text)}


def _list_texts(script: str) -> list[str]:
    """The texts that a script holds; all of it where its grammar is that of another Python."""
    if ATTEMPTS not in script:
        return []
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [script]
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


# the chain


def list_chain(load: Load, uses: Mapping[str, str]) -> list[Attempt]:
    """Return the attempts below a script, each after those that it builds on itself.

    Raises:
        ArtifactError: a record is missing, or the chain is not one that a run makes.
    """
    found: dict[str, Attempt] = {}
    for name, ref in uses.items():
        _add_links(load, name, ref, found)
    return list(found.values())


def _add_links(load: Load, name: str, ref: str, found: dict[str, Attempt], depth: int = 0) -> None:
    attempt = load(ref)
    if attempt.id != name or depth > MAX_CHAIN or len(found) > MAX_CHAIN:
        raise ArtifactError(f"{name}: its record is no part of a chain; repair the run")
    if name in found:
        if found[name].ref != ref:
            raise ArtifactError(f"{name}: a chain holds two attempts of this name; repair the run")
        return
    for below, below_ref in attempt.uses.items():
        _add_links(load, below, below_ref, found, depth + 1)
    found[name] = attempt


def is_plain_name(name: str) -> bool:
    """Whether a file in keep/ has a name that is mounted as it is."""
    return len(name) <= 300 and bool(KEPT_NAME.fullmatch(name))


def given_by(path: Callable[[str], Path], source: Attempt | ExecutionRecord) -> Given | None:
    """Return what an attempt, or another execution of its script, gives; None: it lacks a file."""
    if isinstance(source, Attempt):
        oof, submission = source.oof, source.submission
    else:
        oof, submission = source.files.get(OOF), source.files.get(SUBMISSION)
    if not oof or not submission:
        return None
    kept = {name: str(path(ref)) for name, ref in source.kept.items() if is_plain_name(name)}
    return Given(str(path(oof)), str(path(submission)), kept)


def index_text(attempts: Sequence[Attempt], scripts: Mapping[str, str]) -> str:
    """Return input/attempts/index.csv: what each attempt is, and what it scored.

    Args:
        attempts: those that the script names.
        scripts: texts of their scripts by id.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    for each in attempts:
        lines = count_code_lines(scripts[each.id])
        what = " ".join(each.summary.split())[:120]
        row = (each.id, what, each.score, each.score_se, each.seconds, lines, len(each.kept))
        writer.writerow(row)
    return out.getvalue()


# the chain as files of its own: best/


def chain_files(
    attempt: Attempt, load: Load, read: Callable[[str], str], variant: str = ""
) -> dict[str, str]:
    """Return the files that run a chain alone: solution.py, and each script in chain/ID/.

    Empty where the attempt builds on no other. `variant`: that its own script computes; empty: the
    one that speaks for it.
    """
    if not attempt.uses:
        return {}
    links = [*list_chain(load, attempt.uses), attempt]
    variants = {link.id: link.variant for link in links}
    variants[attempt.id] = variant or attempt.variant
    files = {"solution.py": _driver_text(links, variants)}
    for link in links:
        files[f"chain/{link.id}/solution.py"] = read(str(link.script))
        if link.uses:
            below = [load(ref) for ref in link.uses.values()]
            scripts = {each.id: read(str(each.script)) for each in below}
            files[f"chain/{link.id}/attempts.csv"] = index_text(below, scripts)
    return files


def list_scripts(folder: Path) -> list[Path]:
    """Return the scripts that solution.py runs: members of an ensemble, links of a chain."""
    places = ("members/*/", "chain/*/", "members/*/chain/*/")
    return [path for place in places for path in sorted(folder.glob(f"{place}solution.py"))]


def _driver_text(links: Sequence[Attempt], variants: Mapping[str, str]) -> str:
    uses = "\n".join(f"    {link.id!r}: {sorted(link.uses)!r}," for link in links)
    named = {name: variant for name, variant in variants.items() if variant}
    return DRIVER.format(n=len(links), uses=uses, variants=named)


def iterate_scripts(attempts: Iterable[Attempt], load: Load) -> Iterator[str]:
    """Yield the hash of every script in the chains of some attempts, their own left out."""
    for attempt in attempts:
        yield from (str(link.script) for link in list_chain(load, attempt.uses))


DRIVER = '''"""A chain of {n} scripts, each of which reads what others before it predicted and kept.

Every script is chain/ID/solution.py and runs in that folder; input/attempts/ there leads to the
files of the scripts that it names. The predictions of the last one are copied here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

USES = {{  # script: those whose files it reads; in the order in which they run
{uses}
}}
VARIANTS = {variants!r}  # script: the variant that it computes, where it has any


def written(name, file):
    """Return the name under which a script writes one of its files."""
    variant = VARIANTS.get(name, "plain")
    return file if variant == "plain" else file.replace(".csv", f"-{{variant}}.csv")


def run_script(name):
    """Run one script in its folder, its variant alone."""
    others = ("GOME_VARIANT", *(["GOME_SEED"] if name != list(USES)[-1] else []))
    environment = {{key: value for key, value in os.environ.items() if key not in others}}
    if name in VARIANTS:
        environment["GOME_VARIANT"] = VARIANTS[name]
    folder = Path("chain") / name
    subprocess.run([sys.executable, "solution.py"], cwd=folder, check=True, env=environment)


def lay_out_input(name):
    """Make input/ of one script anew: the data, and the files of the scripts before it."""
    folder = Path("chain") / name
    inputs = folder / "input"
    shutil.rmtree(inputs, ignore_errors=True)
    (inputs / "attempts").mkdir(parents=True)
    for path in Path("input").iterdir():
        os.symlink(path.resolve(), inputs / path.name)
    for used in USES[name]:
        (inputs / "attempts" / used).mkdir()
        for file in ("oof.csv", "submission.csv", "keep"):
            source = (Path("chain") / used / written(used, file)).resolve()
            if source.exists():
                os.symlink(source, inputs / "attempts" / used / file)
    if USES[name]:
        os.symlink((folder / "attempts.csv").resolve(), inputs / "attempts" / "index.csv")


if __name__ == "__main__":
    for name in USES:
        lay_out_input(name)
        run_script(name)
    for file in ("oof.csv", "submission.csv"):
        shutil.copyfile(Path("chain") / name / written(name, file), file)
        if "GOME_VARIANT" in os.environ and written(name, file) != file:
            shutil.copyfile(file, written(name, file))  # an ensemble reads the variant's files
'''
