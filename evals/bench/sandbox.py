"""`make bench`: cost of a sandbox: start-up per tier, imports, host memory under much output.

python -m evals.bench.sandbox [--runs 20] [--only start-up imports flood]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from sandbox.local.backend import LocalSandbox, create_local_sandbox
from sandbox.local.tiers import choose_tier, probe_tier
from sandbox.protocol import Execution, Job, Limits

IMPORTS = "import pandas, sklearn.ensemble, sklearn.model_selection, lightgbm"
GIGABYTE = "import sys\nline = 'x' * 65535 + '\\n'\nfor _ in range(16384): sys.stdout.write(line)"


async def run_in_box(box: LocalSandbox, folder: Path, script: str) -> Execution:
    """Run a script in a fresh workspace below `folder`."""
    workspace = Path(tempfile.mkdtemp(dir=folder, prefix="w"))
    workspace.chmod(0o755)
    job = Job(id=workspace.name, script=script, workspace=workspace, limits=Limits(wall_s=300))
    execution = await box.run(job)
    assert execution.ok, execution.output
    return execution


def median_ms(executions: list[Execution]) -> tuple[float, float]:
    """Return median wall and CPU milliseconds."""
    wall_s = statistics.median(one.wall_s or 0 for one in executions)
    cpu_s = statistics.median(one.cpu_s or 0 for one in executions)
    return wall_s * 1e3, cpu_s * 1e3


async def measure_start_up(folder: Path, runs: int) -> None:
    """Time an empty script end to end: workspace, control group, sandbox, interpreter, files."""
    for name in ("bubblewrap", "userns", "landlock", "none"):
        tier = choose_tier("none") if name == "none" else probe_tier(name)[0]
        if tier is None:
            print(f"start-up {name}: does not start here")
            continue
        box = LocalSandbox(tier, None)
        wall, cpu = median_ms([await run_in_box(box, folder, "") for _ in range(runs)])
        print(f"start-up {name:<10} median of {runs}: {wall:.0f} ms wall, {cpu:.0f} ms CPU inside")
    began = time.perf_counter()
    for _ in range(runs):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()
    bare = (time.perf_counter() - began) / runs * 1e3
    print(f"start-up of a bare interpreter: {bare:.0f} ms wall")


async def measure_imports(folder: Path, runs: int) -> None:
    """Time the imports of a usual script in the best tier."""
    box = create_local_sandbox()
    await run_in_box(box, folder, IMPORTS)  # fills the page cache
    wall, cpu = median_ms([await run_in_box(box, folder, IMPORTS) for _ in range(runs)])
    print(
        f"import of pandas, scikit-learn, lightgbm, {box.tier}: median of {runs}: "
        f"{wall:.0f} ms wall, {cpu:.0f} ms CPU"
    )


async def measure_flood(folder: Path) -> None:
    """Measure how much the host's memory grows while a script prints 1 GiB."""
    box = create_local_sandbox()
    await run_in_box(box, folder, "")
    host = psutil.Process()
    before = peak = host.memory_info().rss
    running = asyncio.create_task(run_in_box(box, folder, GIGABYTE))
    while not running.done():
        await asyncio.sleep(0.02)
        peak = max(peak, host.memory_info().rss)
    execution = running.result()
    print(
        f"1 GiB of output: {len(execution.output) / 2**20:.1f} MiB kept, "
        f"the host grew by {(peak - before) / 1e6:.1f} MB, {execution.wall_s:.1f} s"
    )


PARTS = ("start-up", "imports", "flood")


async def run_parts(runs: int, parts: list[str]) -> None:
    """Run the chosen parts in a folder that every user can read."""
    with tempfile.TemporaryDirectory(prefix="gome-bench-", dir="/var/tmp") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        if "start-up" in parts:
            await measure_start_up(folder, runs)
        if "imports" in parts:
            await measure_imports(folder, max(3, runs // 2))
        if "flood" in parts:
            await measure_flood(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=PARTS, nargs="*", default=list(PARTS))
    options = parser.parse_args()
    asyncio.run(run_parts(options.runs, options.only))


if __name__ == "__main__":
    main()
