"""Warm interpreters: a script sees what a cold one sees, and nothing of the script before it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.local.backend import Local
from sandbox.local.tiers import probe
from sandbox.protocol import Execution, Job, Limits


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Local]:
    tier, why = probe("bubblewrap")
    if tier is None:
        pytest.skip(why)
    made = Local(tier, None, warm=True)
    yield made
    await made.close()
    assert not list(tmp_path.glob(".warm-*"))


async def play(
    box: Local, folder: Path, script: str, *, trace: str = "t0", **limits: Any
) -> Execution:
    workspace = folder / f"w{len(list(folder.glob('w*')))}"
    workspace.mkdir()
    (folder / "data.csv").write_text("a\n1\n")
    job = Job(
        id=workspace.name, script=script, workspace=workspace, warm=trace, inputs={"data.csv": str(folder / "data.csv")},
        limits=Limits.model_validate({"wall_s": 100, "cpus": 2, **limits}), collect=["oof.csv", "old.txt"],
    )  # fmt: skip
    return await box.run(job)


SEES = """
import sys, os, pickle, multiprocessing
print("pandas" in sys.modules, __name__, os.path.basename(__file__), sys.argv, open("input/data.csv").read().split(), sorted(os.listdir(".")))
class Model: pass
pickle.loads(pickle.dumps(Model()))
open("oof.csv", "w").write("x")
open("old.txt", "w").write("x")
import numpy
print(numpy.random.rand())
"""


async def test_scripts_of_one_trace_share_an_interpreter_and_nothing_else(
    box: Local, tmp_path: Path
) -> None:
    first, second = await play(box, tmp_path, SEES), await play(box, tmp_path, SEES)
    assert first.ok, first.output
    lines = [one.output.splitlines() for one in (first, second)]
    assert (
        lines[0][0]
        == "True __main__ solution.py ['solution.py'] ['a', '1'] ['input', 'solution.py']"
        == lines[1][0]
    )
    assert lines[0][1] != lines[1][1]  # random numbers are not those of the sibling
    assert Path(first.files["oof.csv"]).read_text() == "x" and set(second.files) == {
        "oof.csv",
        "old.txt",
    }
    assert box.warm and len(box.warm.zygotes) == 1


@pytest.mark.slow
async def test_ends_are_seen_as_from_a_cold_start(box: Local, tmp_path: Path) -> None:
    failed = await play(box, tmp_path, "x = 1\nraise ValueError('boom')")
    assert (failed.end, failed.exit_code) == ("exit", 1)
    assert (
        failed.output.startswith(
            'Traceback (most recent call last):\n  File "/job/solution.py", line 2'
        )
        and "zygote" not in failed.output
    )
    assert (await play(box, tmp_path, "import sys; sys.exit(7)")).exit_code == 7
    assert (await play(box, tmp_path, "import os; os._exit(3)")).exit_code == 3
    assert (await play(box, tmp_path, "import ctypes; ctypes.string_at(0)")).signal == 11
    late = await play(box, tmp_path, "import time; time.sleep(100)", wall_s=2, grace_s=1)
    assert late.end == "timeout"
    assert (await play(box, tmp_path, "print('again')")).output == "again\n"
    killed = await play(
        box, tmp_path, "import os; os.kill(os.getppid(), 9); import time; time.sleep(50)"
    )
    assert killed.signal == 9
    assert (await play(box, tmp_path, "print('again')")).output == "again\n"


@pytest.mark.slow
async def test_libraries_work_after_the_fork(box: Local, tmp_path: Path) -> None:
    script = (
        "import numpy as np, lightgbm, multiprocessing\nfrom sklearn.ensemble import RandomForestClassifier\n"
        "x = np.random.rand(400, 5); y = x[:, 0] > 0.5\n"
        "print(lightgbm.LGBMClassifier(n_estimators=20, n_jobs=2, verbose=-1).fit(x, y).score(x, y) > 0.9)\n"
        "print(RandomForestClassifier(20, n_jobs=2).fit(x, y).score(x, y) > 0.9)\n"
        "def double(i): return 2 * i\n"
        "if __name__ == '__main__':\n    with multiprocessing.Pool(2) as pool: print(pool.map(double, range(3)))\n"
    )
    for _ in range(2):
        done = await play(box, tmp_path, script)
        assert done.ok and done.output == "True\nTrue\n[0, 2, 4]\n", done.output


async def test_nothing_of_a_script_lives_on(box: Local, tmp_path: Path) -> None:
    mark = f"gome-warm-{os.urandom(4).hex()}"
    script = f"import os\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        os.execv('/bin/sleep', [{mark!r}, '300'])"
    assert (await play(box, tmp_path, script)).ok
    await asyncio.sleep(0.2)
    assert [
        p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [""])[0] == mark
    ] == []


@pytest.mark.slow
async def test_a_cancelled_script_takes_its_interpreter_along(box: Local, tmp_path: Path) -> None:
    going = asyncio.create_task(
        play(box, tmp_path, "import time; open('begun', 'w'); time.sleep(300)")
    )
    while not list(tmp_path.glob(".warm-*/begun")):
        assert not going.done()
        await asyncio.sleep(0.1)
    assert box.warm
    pid = next(iter(box.warm.zygotes.values())).running.pid
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert not psutil.pid_exists(pid) and box.warm.zygotes == {}


async def test_scripts_that_speak_of_a_gpu_start_cold(box: Local, tmp_path: Path) -> None:
    done = await play(box, tmp_path, "# torch\nimport sys\nprint('pandas' in sys.modules)")
    assert done.output == "False\n"
