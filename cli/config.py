"""Where settings come from: flag > environment (GOME_*) > gome.toml > default.

gome.toml stands in the current folder, and may stand in the task folder; there it may set what concerns the loop alone, because a task
folder may come from elsewhere: it shall not send your key to another endpoint nor run scripts with your rights. Secrets are read from the
environment alone.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cli.common import complain

if TYPE_CHECKING:
    from graph.settings import Settings

FILE = "gome.toml"
PREFIX = "GOME_"
OF_A_TASK = frozenset(
    [
        "traces",
        "steps",
        "time_s",
        "merge_every",
        "seed",
        "policy",
        "max_repairs",
        "max_failures",
        "run_time_s",
        "run_memory_bytes",
        "run_cpus",
        "draft_share",
        "max_executions",
        "max_usd",
        "max_tokens",
        "accept_z",
        "confirm",
        "audit",
        "audit_bits",
        "n_folds",
        "patience",
        "target",
        "finalize_share",
        "top_k",
        "final_seeds",
        "caution",
        "ensemble",
    ]
)  # what a task folder's own gome.toml may set
SECRET = re.compile(r"key|token$|secret|passw|credential", re.IGNORECASE)
TIMES = ("time_s", "run_time_s", "answer_time_s")
Sourced = dict[str, tuple[Any, str]]  # name -> value and where it was given


def make_settings(given: dict[str, Any], pairs: list[str], task: str = "") -> Settings:
    """The settings of a run. `given` are those of flags of their own, `pairs` those of --set. Ends with one line on what is wrong."""
    from pydantic import ValidationError

    from graph.settings import Settings

    names = Settings.model_fields
    flags = {name: (value, flag(name)) for name, value in given.items()}
    found = from_files(task, names) | from_environment(names) | flags | from_pairs(pairs, names)
    values = {name: plain(name, value, where) for name, (value, where) in found.items()}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        where = found[name][1] if name in found else name
        shown = (
            "" if name == "key_env" else f" (got {str(first['input'])[:80]!r})"
        )  # a key may have been put there by mistake
        raise wrong(f"{where}: {first['msg']}{shown}") from None


def changes_of(pairs: list[str]) -> dict[str, Any]:
    """`name=value` of --set alone, read as a run's settings are."""
    from graph.settings import Settings

    return {
        name: plain(name, value, where)
        for name, (value, where) in from_pairs(pairs, Settings.model_fields).items()
    }


def wrong(text: str) -> typer.Exit:
    return typer.Exit(complain(text))


def flag(name: str) -> str:
    return "--" + name.removesuffix("_s").replace("_", "-")


def from_pairs(pairs: Iterable[str], names: Iterable[str]) -> Sourced:
    found: Sourced = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in names:
            raise wrong(
                f"--set {pair}: expected name=value with a name of {', '.join(sorted(names))}"
            )
        found[name] = (value, f"--set {name}")
    return found


def from_environment(names: Iterable[str]) -> Sourced:
    """GOME_STEPS=12, GOME_MODEL=gpt-5,diagnose=o3. Other variables of that prefix (GOME_HOME) are not ours, unless one looks misspelt."""
    found: Sourced = {}
    for variable in sorted(os.environ):
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in names:
            if near := meant(name, names, cutoff=0.75):
                raise wrong(f"{variable} in the environment: no such setting{near}")
            continue
        found[name] = (os.environ[variable], variable)
    return found


def from_files(task: str, names: Iterable[str]) -> Sourced:
    """The current folder's gome.toml, the task folder's over it."""
    here = Path(FILE)
    of_task = Path(task).expanduser() / FILE if task else here
    found = read(here, names)
    if of_task.exists() and not (here.exists() and of_task.samefile(here)):
        own = read(of_task, names)
        if taken := sorted(set(own) - OF_A_TASK):
            raise wrong(
                f"{of_task}: `{taken[0]}` is not for a task folder to set (a task from elsewhere could send your key away or lift the "
                f"isolation); move it to ./{FILE}, or give {flag(taken[0])} or --set {taken[0]}=…"
            )
        found |= own
    return found


def read(path: Path, names: Iterable[str]) -> Sourced:
    """Settings by name, every one known."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise wrong(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise wrong(f"{path}: not valid TOML ({error})") from None
    for name in table:
        if name in names:
            continue
        if SECRET.search(name):
            raise wrong(
                f"{path}: `{name}` looks like a secret; none is read from files, set OPENAI_API_KEY in the environment"
            )
        raise wrong(f"{path}: no setting is called `{name}`{meant(name, names)}")
    return {name: (value, f"{path}: {name}") for name, value in table.items()}


def meant(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f", did you mean `{near[0]}`?" if near else ""


def plain(name: str, value: Any, where: str) -> Any:
    """A value as the settings want it; text from flags and environment is read as what it stands for."""
    if not isinstance(value, str):
        return value
    if name == "model":
        return [part.strip() for part in value.split(",") if part.strip()]
    if value in ("", "none") and name not in ("gpus", "isolation"):
        return None
    if name == "extra_body":
        try:
            return json.loads(value)
        except ValueError as error:
            raise wrong(f"{where}: not valid JSON ({error})") from None
    return seconds(value, where) if name in TIMES else value


def seconds(text: str, where: str = "--time") -> float:
    """`90`, `90s`, `30m`, `12h`."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        return float(number) * unit
    except ValueError:
        raise wrong(f"{where} {text}: expected seconds, or a number with s, m or h") from None
