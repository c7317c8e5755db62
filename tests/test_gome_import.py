"""Imports: nothing heavy is loaded before use, and every module can be imported alone."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "chromadb",
    "pandas",
    "sklearn",
    "langchain_core",
    "langchain_openai",
    "langgraph",
    "numpy",
    "rich",
)
PACKAGES = (
    *("cli", "session", "graph", "nodes", "scoring", "briefs", "policies", "run", "memory"),
    *("task", "reasoner", "sandbox", "report", "rpc", "settings"),
)
MODULES = [
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
]


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_import_gome_loads_nothing_heavy() -> None:
    out = fresh(f"import gome, sys; print([name for name in {HEAVY} if name in sys.modules])")
    assert out.strip() == "[]"


def test_the_module_calls_itself_by_the_name_of_the_command() -> None:
    out = fresh(
        "import runpy, sys; sys.argv = ['x', '-h']; runpy.run_module('gome', {}, '__main__')"
    )
    assert out.split()[:2] == ["Usage:", "gome"]


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
sys.argv = ["gome", "--help"]
import gome
try:
    gome.main()
except SystemExit:
    pass
heavy = [name for name in {HEAVY[:-1]} if name in sys.modules]
assert not heavy, heavy
"""
    fresh(code)


def test_the_main_process_of_a_run_loads_neither_pandas_nor_sklearn() -> None:
    out = fresh(
        "import session.session, memory.store, reasoner.expert.engine, sandbox.factory, sys;"
        "print('pandas' in sys.modules, 'sklearn' in sys.modules)"
    )
    assert out.strip() == "False False"


@pytest.mark.slow
@pytest.mark.parametrize("package", sorted({name.split(".")[0] for name in MODULES}))
def test_every_module_imports_alone(package: str) -> None:
    names = [name for name in MODULES if name.startswith(package + ".")]
    code = f"""
import os, sys
# third-party modules, loaded once for all forks
import langgraph.checkpoint.sqlite.aio, langgraph.graph, pydantic, typer
if {package!r} == "task":
    import pandas, scipy.stats, sklearn.ensemble, sklearn.linear_model, sklearn.metrics
    import sklearn.model_selection, sklearn.preprocessing
for name in {names}:
    pid = os.fork()
    if pid == 0:
        try:
            __import__(name)
        except BaseException as error:
            print(name, repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, name
"""
    fresh(code)
