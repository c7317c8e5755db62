"""best/ for whoever gets it: requirements.txt and README.md, how to run the solution again."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from report.formatting import format_plural, name_metric
from run.artifacts import write_atomic
from run.attempt import BASELINE, Attempt
from run.chain import iterate_scripts
from run.run import Run
from run.variants import PLAIN, variant_environment, variant_files

HIDDEN_NEEDS = {"read_parquet": "pyarrow"}  # what a call needs beside the imports of a script
IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(\w+)", re.MULTILINE)
NEEDS_OF_MODULES = {"lightgbm": "sklearn", "xgboost": "sklearn"}  # where it is installed


def write_rerun_notes(
    run: Run,
    folder: Path,
    attempt: Attempt,
    n_model_files: int,
    *,
    refit: bool,
    has_decoder: bool = False,
) -> None:
    """Write requirements.txt and README.md of best/."""
    scripts = [run.artifacts.get(str(attempt.script))]
    scripts += [run.artifacts.get(member.script) for member in attempt.members.values()]
    refs = [member.ref for member in attempt.members.values() if member.ref]
    links = iterate_scripts([attempt, *map(run.attempt, refs)], run.attempt)
    scripts += [run.artifacts.get(script) for script in links]
    setup = run.setup
    lines = list_requirements(scripts, setup.modules, setup.installed)
    head = f"# What the solution imports, as it ran by Python {setup.python or '?'}"
    write_atomic(folder / "requirements.txt", "\n".join([head, *lines, ""]))
    text = _readme_text(run, attempt, n_model_files, refit=refit, has_decoder=has_decoder)
    write_atomic(folder / "README.md", text)


def list_requirements(
    scripts: Iterable[str], modules: Mapping[str, str], installed: Mapping[str, str]
) -> list[str]:
    """Return the lines of requirements.txt: what scripts import beside the standard library.

    Args:
        scripts: their texts.
        modules: first name of an import -> package that brings it.
        installed: package -> version.
    """
    names = {name for script in scripts for name in _imported_names(script)}
    names |= {NEEDS_OF_MODULES[name] for name in names & NEEDS_OF_MODULES.keys()} & modules.keys()
    packages, unknown = set(), []
    for name in sorted(names - set(sys.stdlib_module_names)):
        package = modules.get(name) or (name if name in installed else None)
        if package in installed:
            packages.add(str(package))
        else:
            unknown.append(f"# {name}: imported, but not installed where the solution ran")
    return [_pinned(name, installed[name]) for name in sorted(packages)] + unknown


def _pinned(name: str, version: str) -> str:
    """Return `name==version`; a local version such as 2.9.0+cpu is found in no index."""
    public, mark, _ = version.partition("+")
    return f"{name}=={public}" + (f"  # ran with {version}" if mark else "")


def _imported_names(script: str) -> set[str]:
    """Return the first names of a script's imports, and of packages that its calls need.

    A script in the grammar of another Python is read line by line.
    """
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        needs = {need for call, need in HIDDEN_NEEDS.items() if f".{call}(" in script}
        return needs | set(IMPORT.findall(script))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Attribute) and node.attr in HIDDEN_NEEDS:
            names.add(HIDDEN_NEEDS[node.attr])
    return names


def _readme_text(
    run: Run, attempt: Attempt, n_model_files: int, *, refit: bool, has_decoder: bool
) -> str:
    task, setup = run.prepared.task, run.setup
    score = "" if attempt.score is None else f"{name_metric(task.metric)} {attempt.score:.5g}"
    score += f" ± {attempt.score_se:.2g}" if score and attempt.score_se is not None else ""
    rows = "all labelled rows" if refit else "the training rows of the run"
    name = f"Attempt {attempt.id}"
    if attempt.id == BASELINE:
        name = "The harness's own baseline, since no attempt was accepted"
    what = "the solutions that it blends"
    if attempt.n_seeds > 1:
        what = f"what it averages, under {attempt.n_seeds} seeds"
    members = f"- `members/`: {what}\n" if attempt.members else ""
    if attempt.uses:
        members += (
            f"- `chain/`: the scripts that it runs: {', '.join(attempt.uses)}, what those build "
            f"on, and {attempt.id}, which reads their predictions\n"
        )
    model = (
        f"- `model/`: what it trained ({format_plural(n_model_files, 'file')})\n"
        if n_model_files
        else ""
    )
    labels = (
        "- `labels.py`: makes labels of what `solution.py` writes, which are probabilities or"
        " values; `submission.csv` has labels as long as `solution.py` does not run again\n"
        if has_decoder
        else ""
    )
    python = f" (Python {setup.python})" if setup.python else ""
    variant = "" if attempt.uses else attempt.variant  # a chain's driver knows it
    files = " and ".join(f"`{name}`" for name in variant_files(variant))
    named = variant not in ("", PLAIN)
    made_of = f" {variant_files(variant)[1]}" if named else ""
    again = f"\n.env/bin/python labels.py{made_of}  # writes labels.csv" if has_decoder else ""
    alone = f"; of its variants, `{variant}` alone is the solution" if named else ""
    command = " ".join(f"{name}={value}" for name, value in variant_environment(variant).items())
    return f"""# The best solution of run {run.id}

{name}{f": {score} in cross-validation" if score else ""}. Trained on {rows}.

- `solution.py`: the script; it reads `input/` and writes {files}{alone}
{labels}{members}- `submission.csv`: its predictions for the test table
{model}- `requirements.txt`: the packages that it imports, at their versions{python}
- `input/`: links to the data of the run

Run it again, in this folder:

```
python -m venv .env && .env/bin/pip install -r requirements.txt
{command + " " if command else ""}.env/bin/python solution.py{again}
```

Predict new rows, in the sandbox and with the same Python:

```
gome predict {run.id} rows.csv -o predictions.csv
```
"""
