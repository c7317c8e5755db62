"""Where settings come from: flag > environment (GOME_*) > gome.toml > default.

gome.toml may be in the current folder and in the task folder. In a task folder it may set only
what concerns the loop: a task may come from a stranger, who must not redirect your API key or
run scripts with your rights. Secrets are read from the environment alone.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from cli.errors import usage_error
from graph.settings import Settings, task_settings
from settings.field import AUTO, about_setting, describe_rejection
from settings.parse import parse_duration, split_names, suggest_near

CONFIG_FILE = "gome.toml"
VARIABLE_PREFIX = "GOME_"
SECRET = re.compile(r"key|token$|secret|passw|credential", re.IGNORECASE)
KNOWN = Settings.model_fields
SECTIONS = {"scripts": frozenset({"python", "run_time_s", "run_memory_bytes", "run_cpus"})}
TASK_KEYS = ("metric", "direction", "kind", "train", "test", "id", "split", "positive", "name")
WITH_NONE = ("gpus", "isolation")  # `none` is one of their values


class Source(NamedTuple):
    """A setting's value as it was given, and where, for error messages."""

    value: Any
    place: str


Sources = dict[str, Source]


def make_settings(given: dict[str, Any], pairs: list[str], task: str = "") -> Settings:
    """Return a run's settings.

    Args:
        given: Values of the settings' own flags.
        pairs: `name=value` texts of --set.
        task: The task folder, whose gome.toml counts too.

    Raises:
        typer.Exit: After one line on stderr says what is wrong.
    """
    flags = {name: Source(value, flag_name(name)) for name, value in given.items()}
    return _validate_sources(
        settings_from_files(task) | settings_from_environment() | flags | settings_from_pairs(pairs)
    )


def configured_runs_dir(flag: str | None) -> str:
    """Return the folder of runs: --runs-dir, GOME_RUNS_DIR, ./gome.toml or the default.

    No other setting is checked: a mistake elsewhere must not keep `gome show` from working.
    """
    if flag is not None:
        return flag
    file, variable = Path(CONFIG_FILE), f"{VARIABLE_PREFIX}RUNS_DIR"
    if variable in os.environ:
        source = Source(os.environ[variable], variable)
    elif "runs_dir" in (table := read_toml(file)):
        source = Source(table["runs_dir"], f"{file}: runs_dir")
    else:
        return Settings().runs_dir
    return _validate_sources({"runs_dir": source}).runs_dir


def parse_changes(pairs: list[str]) -> dict[str, Any]:
    """Parse the `name=value` texts of --set alone, by the rules of a run's settings."""
    return _parse_sources(settings_from_pairs(pairs))


def _validate_sources(sources: Sources) -> Settings:
    values = _parse_sources(sources)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        name, expected = describe_rejection(error, KNOWN)
        place = sources[name].place if name in sources else name
        # the value of key_env may be the key itself, put there by mistake
        shown = "" if name == "key_env" else f" (got {str(error.errors()[0]['input'])[:80]!r})"
        raise usage_error(f"{place}: {expected}{shown}") from None


def _parse_sources(sources: Sources) -> dict[str, Any]:
    return {name: parse_value(name, *source) for name, source in sources.items()}


def flag_name(name: str) -> str:
    """Return the flag of a setting: `--time` for `time_s`."""
    return "--" + name.removesuffix("_s").replace("_", "-")


def settings_from_pairs(pairs: Iterable[str]) -> Sources:
    """Split the `name=value` texts of --set."""
    sources: Sources = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in KNOWN:
            raise usage_error(f"--set {pair}: {explain_unknown(name, bool(equals))}")
        sources[name] = Source(value, f"--set {name}")
    return sources


def explain_unknown(name: str, has_value: bool) -> str:
    """Say what is wrong with a `--set` that is not `name=value` of a setting."""
    if name in KNOWN and not has_value:
        return f"expected {name}=VALUE"
    if name in TASK_KEYS:
        return f"no setting, but a line of the task: write `{name}: …` into its task.yaml"
    near = suggest_near(name, KNOWN)
    return f"no such setting{near or '; `gome run --help` and docs/settings.md list them'}"


def settings_from_environment() -> Sources:
    """Read GOME_STEPS=12, GOME_MODEL=gpt-5,diagnose=o3 and the like.

    Other variables of that prefix (GOME_HOME) are ignored, unless one looks misspelt.
    """
    sources: Sources = {}
    for variable in sorted(os.environ):
        if not variable.startswith(VARIABLE_PREFIX):
            continue
        name = variable.removeprefix(VARIABLE_PREFIX).lower()
        if name in KNOWN:
            sources[name] = Source(os.environ[variable], variable)
        elif suggestion := suggest_near(name, KNOWN, cutoff=0.75):
            raise usage_error(f"{variable} in the environment: no such setting{suggestion}")
    return sources


def settings_from_files(task: str) -> Sources:
    """Read the gome.toml of the current folder; that of the task folder overrides it."""
    here = Path(CONFIG_FILE)
    of_task = Path(task).expanduser() / CONFIG_FILE if task else here
    sources = _settings_from_file(here)
    if of_task.exists() and not (here.exists() and of_task.samefile(here)):
        own = _settings_from_file(of_task)
        if forbidden := sorted(set(own) - task_settings()):
            name = forbidden[0]
            raise usage_error(
                f"{of_task}: `{name}` is not for a task folder to set (a task from elsewhere could"
                f" send your key away or lift the isolation); move it to ./{CONFIG_FILE}, or give"
                f" {flag_name(name)} or --set {name}=…"
            )
        sources |= own
    return sources


def _settings_from_file(path: Path) -> Sources:
    table = _flatten_sections(read_toml(path), path)
    for name in table:
        if name in KNOWN:
            continue
        if SECRET.search(name):
            raise usage_error(
                f"{path}: `{name}` looks like a secret; none is read from files,"
                " set OPENAI_API_KEY in the environment"
            )
        raise usage_error(f"{path}: no setting is called `{name}`{suggest_near(name, KNOWN)}")
    return {name: Source(value, f"{path}: {name}") for name, value in table.items()}


def _flatten_sections(table: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the table with the names of its sections' settings beside the others.

    A relative path in the file is relative to the file.
    """
    flat = {name: value for name, value in table.items() if name not in SECTIONS}
    for section, names in SECTIONS.items():
        inner = table.get(section, {})
        if not isinstance(inner, dict):
            raise usage_error(f"{path}: `{section}` is a table: [{section}]")
        if unknown := sorted(set(inner) - names):
            raise usage_error(
                f"{path}: [{section}] has no setting `{unknown[0]}`; it takes"
                f" {', '.join(sorted(names))}"
            )
        flat |= inner
    if isinstance(python := flat.get("python"), str) and "/" in python:
        flat["python"] = str(path.absolute().parent / Path(python).expanduser())
    return flat


def read_toml(path: Path) -> dict[str, Any]:
    """Return the file's table; an absent file is an empty one."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise usage_error(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise usage_error(f"{path}: not valid TOML ({error})") from None


def parse_value(name: str, value: Any, place: str) -> Any:
    """Parse the text of a flag, a variable or --set; other values are returned as they are."""
    if not isinstance(value, str):
        return value
    if name == "model":
        return split_names(value)
    if value in ("", "none") and name not in WITH_NONE:
        return None
    if name == "extra_body":
        try:
            return json.loads(value)
        except ValueError as error:
            raise usage_error(f"{place}: not valid JSON ({error})") from None
    if value == AUTO:
        return value
    if about_setting(KNOWN[name]).unit == "s":
        try:
            return parse_duration(value)
        except ValueError:
            raise usage_error(
                f"{place} {value}: expected seconds, or a number with s, m or h"
            ) from None
    return value
