"""`make bench`: what a sandbox costs: start-up per tier, cold and warm imports, the host's memory under a flood of output.

python -m evals.bench.sandbox [--runs 20]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from sandbox.local.backend import Local, make_local
from sandbox.local.tiers import choose, probe
from sandbox.protocol import Execution, Job, Limits

IMPORTS = "import pandas, sklearn.ensemble, sklearn.model_selection, lightgbm"
GIGABYTE = "import sys\nline = 'x' * 65535 + '\\n'\nfor _ in range(16384): sys.stdout.write(line)"


async def play(box: Local, folder: Path, script: str, warm: str = "") -> Execution:
    workspace = Path(tempfile.mkdtemp(dir=folder, prefix="w"))
    workspace.chmod(0o755)
    done = await box.run(
        Job(
            id=workspace.name,
            script=script,
            workspace=workspace,
            warm=warm,
            limits=Limits(wall_s=300),
        )
    )
    assert done.ok, done.output
    return done


async def start_up(folder: Path, runs: int) -> None:
    """An empty script, end to end: workspace, control group, sandbox, interpreter, collection."""
    for name in ("bubblewrap", "userns", "landlock", "none"):
        tier = choose("none") if name == "none" else probe(name)[0]
        if tier is None:
            print(f"start-up {name}: does not start here")
            continue
        box = Local(tier, None)
        done = [await play(box, folder, "") for _ in range(runs)]
        wall, cpu = (
            statistics.median(getattr(one, field) or 0 for one in done)
            for field in ("wall_s", "cpu_s")
        )
        print(
            f"start-up {name:<10} median of {runs}: {wall * 1e3:.0f} ms wall, {cpu * 1e3:.0f} ms CPU inside"
        )
    began = time.perf_counter()
    for _ in range(runs):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()
    print(
        f"start-up of a bare interpreter: {(time.perf_counter() - began) / runs * 1e3:.0f} ms wall"
    )


async def imports(folder: Path, runs: int) -> None:
    tier, why = probe("bubblewrap")
    if tier is None:
        print(f"warm start: {why}")
        return
    box = Local(tier, None, warm=True)
    try:
        for name, warm in (("cold", ""), ("warm", "t0")):
            await play(
                box, folder, IMPORTS, warm
            )  # the first fills the page cache, or makes the warm interpreter
            done = [await play(box, folder, IMPORTS, warm) for _ in range(runs)]
            wall, cpu = (
                statistics.median(getattr(one, field) or 0 for one in done)
                for field in ("wall_s", "cpu_s")
            )
            print(
                f"import of pandas, scikit-learn, lightgbm, {name}: median of {runs}: {wall * 1e3:.0f} ms wall, {cpu * 1e3:.0f} ms CPU"
            )
    finally:
        await box.close()


async def flood(folder: Path) -> None:
    box = make_local()
    await play(box, folder, "")
    before = peak = psutil.Process().memory_info().rss
    going = asyncio.create_task(play(box, folder, GIGABYTE))
    while not going.done():
        await asyncio.sleep(0.02)
        peak = max(peak, psutil.Process().memory_info().rss)
    done = going.result()
    print(
        f"1 GiB of output: {len(done.output) / 2**20:.1f} MiB kept, the host grew by {(peak - before) / 1e6:.1f} MB, {done.wall_s:.1f} s"
    )


PARTS = ("start-up", "imports", "flood")


async def bench(runs: int, parts: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gome-bench-", dir="/var/tmp") as temporary:
        os.chmod(temporary, 0o755)
        folder = Path(temporary)
        if "start-up" in parts:
            await start_up(folder, runs)
        if "imports" in parts:
            await imports(folder, max(3, runs // 2))
        if "flood" in parts:
            await flood(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=PARTS, nargs="*", default=list(PARTS))
    options = parser.parse_args()
    asyncio.run(bench(options.runs, options.only))


if __name__ == "__main__":
    main()
