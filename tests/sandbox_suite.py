"""Functional cases that every sandbox backend passes (tests/test_sandbox_conformance.py runs them).

A case takes `play(script, **what) -> Execution` and checks the result. `what`: limits by name,
`inputs`, `collect`, `env`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from sandbox.protocol import Execution, Job, Limits, Sandbox, SandboxLostError

TREE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for index in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open(f"alive{index}", "w").write(str(index))
            while True:
                time.sleep(0.2)
        time.sleep(600)
"""


class Play(Protocol):
    def __call__(self, script: str, **what: Any) -> Awaitable[Execution]: ...


def player(sandbox: Sandbox, folder: Path) -> Play:
    """Jobs in fresh workspaces below `folder`."""

    async def play(script: str, **what: Any) -> Execution:
        number = len(list(folder.glob("w*")))
        workspace = folder / f"w{number}"
        workspace.mkdir()
        limits = {key: what.pop(key) for key in list(what) if key in Limits.model_fields}
        job = Job(
            id=f"job{number}",
            script=script,
            workspace=workspace,
            limits=Limits.model_validate({"wall_s": 60, **limits}),
            **what,
        )
        return await sandbox.run(job)

    return play


def text(execution: Execution, name: str) -> str:
    return Path(execution.files[name]).read_text(encoding="utf-8")


async def exit_code(play: Play, tmp: Path) -> None:
    done = await play("import sys\nprint('before')\nsys.exit(7)")
    assert (done.end, done.exit_code, done.signal, done.ok) == ("exit", 7, None, False)
    assert done.output == "before\n"


async def success(play: Play, tmp: Path) -> None:
    done = await play("print('fine')")
    assert done.ok and done.exit_code == 0 and done.signal is None
    assert done.wall_s > 0 and done.tier and done.enforced
    assert done.files == {} and done.refused == {}


async def traceback_reaches_the_output(play: Play, tmp: Path) -> None:
    done = await play("def fit():\n    raise ValueError('no such column')\nfit()")
    assert (
        done.exit_code == 1
        and "ValueError: no such column" in done.output
        and "in fit" in done.output
    )


async def killed_by_a_signal(play: Play, tmp: Path) -> None:
    done = await play(
        "import os, signal\nprint('now', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\nimport time; time.sleep(30)"
    )
    assert (done.end, done.exit_code, done.signal) == ("exit", None, 11)


async def leaves_by_the_back_door(play: Play, tmp: Path) -> None:
    done = await play("import os\nos._exit(3)")
    assert (done.end, done.exit_code) == ("exit", 3)


async def both_streams_in_order(play: Play, tmp: Path) -> None:
    done = await play(
        "import sys\nfor i in range(3):\n    print('out', i, flush=True)\n"
        "    print('err', i, file=sys.stderr, flush=True)"
    )
    assert done.output.split() == [
        "out",
        "0",
        "err",
        "0",
        "out",
        "1",
        "err",
        "1",
        "out",
        "2",
        "err",
        "2",
    ]


async def output_keeps_head_and_tail(play: Play, tmp: Path) -> None:
    done = await play(
        "print('FIRST')\nfor i in range(40000):\n    print('x' * 50)\nprint('LAST')",
        output_bytes=4096,
    )
    assert done.ok and done.output.startswith("FIRST\n") and done.output.endswith("LAST\n")
    assert "bytes left out" in done.output and len(done.output) < 6000
    assert done.output_dropped_bytes == 40000 * 51 + 11 - 4096


async def output_flood_is_ended(play: Play, tmp: Path) -> None:
    script = "import sys\nwhile True:\n    sys.stdout.write('y' * 65536)"
    done = await play(script, output_bytes=4096, output_kill_bytes=4 * 2**20)
    assert done.end == "output" and not done.ok and len(done.output) < 6000


async def output_that_is_no_text(play: Play, tmp: Path) -> None:
    done = await play("import sys\nsys.stdout.buffer.write(b'a\\x00b\\xff\\xfec\\n')")
    assert (
        done.ok
        and done.output.startswith("a")
        and done.output.endswith("c\n")
        and "\x00" not in done.output
    )


async def unicode_everywhere(play: Play, tmp: Path) -> None:
    done = await play(
        "print('Grüße 🐍 漢字')\nopen('ü 漢.txt', 'w', encoding='utf-8').write('ñandú')",
        collect=["ü 漢.txt"],
    )
    assert done.output == "Grüße 🐍 漢字\n" and text(done, "ü 漢.txt") == "ñandú"


async def text_and_binary_files_come_back(play: Play, tmp: Path) -> None:
    script = (
        "import os\nopen('a.txt', 'w', newline='').write('one\\r\\ntwo\\n')\n"
        "open('b.bin', 'wb').write(bytes(range(256)))\n"
        "os.makedirs('deep/er')\nopen('deep/er/c.txt', 'w').write('c')\nopen('empty', 'w')"
    )
    done = await play(script, collect=["a.txt", "b.bin", "deep/er/c.txt", "empty", "absent"])
    assert set(done.files) == {"a.txt", "b.bin", "deep/er/c.txt", "empty"} and done.refused == {}
    assert Path(done.files["a.txt"]).read_bytes() == b"one\r\ntwo\n"
    assert Path(done.files["b.bin"]).read_bytes() == bytes(range(256))
    assert text(done, "deep/er/c.txt") == "c" and text(done, "empty") == ""


async def inputs_in_a_folder_of_ours(play: Play, tmp: Path) -> None:
    for name in ("one.csv", "two.bin", "three.csv"):
        (tmp / name).write_text(name)
    inputs = {
        "train.csv": str(tmp / "three.csv"),
        "attempts/t0s1/oof.csv": str(tmp / "one.csv"),
        "attempts/t0s1/keep/a/two.bin": str(tmp / "two.bin"),
    }
    script = (
        "print(open('input/attempts/t0s1/oof.csv').read())\n"
        "print(open('input/attempts/t0s1/keep/a/two.bin').read())\n"
        "import os\nprint(sorted(os.listdir('input')), os.listdir('input/attempts'))\n"
        "try:\n    open('input/attempts/t0s1/oof.csv', 'w').write('x')\n"
        "except OSError:\n    pass\n"
    )
    done = await play(script, inputs=inputs)
    assert done.output == "one.csv\ntwo.bin\n['attempts', 'train.csv'] ['t0s1']\n"
    for odd in ("attempts/../x", "/etc/x", "train.csv/x", "attempts//x"):
        with pytest.raises(SandboxLostError):
            await play("print(1)", inputs=inputs | {odd: str(tmp / "one.csv")})


async def large_files_both_ways(play: Play, tmp: Path) -> None:
    source = tmp / "large.bin"
    source.write_bytes(os.urandom(2**20) * 24)
    script = (
        "import hashlib, shutil\n"
        "print(hashlib.sha256(open('input/large', 'rb').read()).hexdigest())\n"
        "shutil.copy('input/large', 'copy')"
    )
    done = await play(script, inputs={"large": str(source)}, collect=["copy"])
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert done.output.strip() == digest
    assert hashlib.sha256(Path(done.files["copy"]).read_bytes()).hexdigest() == digest


async def inputs_are_read_only(play: Play, tmp: Path) -> None:
    folder = tmp / "images" / "deep"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"\x89PNG")
    (tmp / "train.csv").write_text("a\n1\n")
    script = (
        "print(open('input/train.csv').read(), open('input/images/deep/1.png', 'rb').read())\n"
        "import os\nprint(sorted(os.listdir('input')))"
    )
    done = await play(
        script, inputs={"train.csv": str(tmp / "train.csv"), "images": str(tmp / "images")}
    )
    assert done.ok and "b'\\x89PNG'" in done.output and "['images', 'train.csv']" in done.output
    await play(
        "open('input/train.csv', 'w').write('b')", inputs={"train.csv": str(tmp / "train.csv")}
    )
    assert (tmp / "train.csv").read_text() == "a\n1\n"
    done = await play(
        "print(open('input/train.csv').read())", inputs={"train.csv": str(tmp / "train.csv")}
    )
    assert done.output.startswith("a\n1\n"), "a script changed what later scripts read"


async def changed_inputs_are_seen(play: Play, tmp: Path) -> None:
    data = tmp / "data.csv"
    for number in (1, 22):
        data.write_text(f"{number}")
        assert (
            await play("print(open('input/data.csv').read())", inputs={"data.csv": str(data)})
        ).output == f"{number}\n"


async def nothing_stays_from_one_script_to_the_next(play: Play, tmp: Path) -> None:
    await play("open('left.txt', 'w').write('x')\nopen('oof.csv', 'w').write('old')")
    # tiers without a /tmp of their own have it in the workspace
    done = await play("import os\nprint(sorted({*os.listdir('.')} - {'.tmp'}))")
    assert done.output.strip() == "['input', 'solution.py']" and done.files == {}


async def works_in_its_own_folder(play: Play, tmp: Path) -> None:
    done = await play(
        "import os, sys\n"
        "print(os.getcwd() == os.path.dirname(os.path.abspath('solution.py')))\n"
        "print(sys.argv, __name__)"
    )
    assert done.output == "True\n['solution.py'] __main__\n"


async def imports_its_own_modules(play: Play, tmp: Path) -> None:
    done = await play(
        "open('helper.py', 'w').write('VALUE = 5')\nimport helper\nprint(helper.VALUE)"
    )
    assert done.output == "5\n"


async def environment(play: Play, tmp: Path) -> None:
    os.environ["OPENAI_API_KEY"] = "sk-secret-of-the-agent"
    try:
        script = (
            "import os, tempfile\nprint(os.environ['EXTRA'], os.environ['OMP_NUM_THREADS'], "
            "os.environ['OMP_WAIT_POLICY'])\n"
            "print(dict(os.environ))\ntempfile.TemporaryFile()"
        )
        done = await play(script, env={"EXTRA": "ja ✓"}, cpus=1)
    finally:
        del os.environ["OPENAI_API_KEY"]
    assert done.ok and done.output.startswith("ja ✓ 1 PASSIVE\n")
    assert "sk-secret" not in done.output and "E2B_API_KEY" not in done.output


async def timeout_ends_the_whole_tree(play: Play, tmp: Path) -> None:
    done = await play(TREE + "print('ready', flush=True)\ntime.sleep(600)", wall_s=8, grace_s=1)
    assert (done.end, done.ok) == ("timeout", False) and "ready" in done.output
    assert done.wall_s >= 8


async def grace_lets_a_script_save_itself(play: Play, tmp: Path) -> None:
    script = (
        "import signal, sys, time\ndef save(*_):\n"
        "    open('oof.csv', 'w').write('saved')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\ntime.sleep(600)"
    )
    done = await play(script, wall_s=8, grace_s=20)
    assert done.end == "timeout" and text(done, "oof.csv") == "saved"


async def leftovers_of_a_finished_script_die(play: Play, tmp: Path) -> None:
    began = time.monotonic()
    done = await play(TREE + "time.sleep(0.5)", wall_s=300)
    assert done.ok and time.monotonic() - began < 200


async def cancelling_ends_the_whole_tree(play: Play, tmp: Path) -> None:
    task = asyncio.ensure_future(play(TREE + "time.sleep(600)", wall_s=600))
    await asyncio.sleep(4)
    task.cancel()
    try:
        await task
        raise AssertionError("the cancelled job returned")
    except asyncio.CancelledError:
        pass
    assert (await play("print('and on')")).output == "and on\n"


async def memory_of_one_process(play: Play, tmp: Path) -> None:
    done = await play(
        "x = bytearray(2 * 2**30)\nfor i in range(0, len(x), 4096): x[i] = 1",
        memory_bytes=300 * 2**20,
    )
    assert not done.ok and (done.end == "memory" or "MemoryError" in done.output)


async def memory_of_the_whole_tree(play: Play, tmp: Path) -> None:
    script = (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
        "        x = b'x' * (150 * 2**20)\n        time.sleep(60)\ntime.sleep(60)"
    )
    done = await play(script, memory_bytes=300 * 2**20)
    assert done.end == "memory" and done.peak_bytes is not None and done.peak_bytes > 250 * 2**20


async def disk_is_bounded(play: Play, tmp: Path) -> None:
    script = (
        "import time\nfor i in range(40):\n"
        "    open(f'f{i}', 'wb').write(b'x' * (5 * 2**20))\n    time.sleep(0.1)"
    )
    done = await play(script, disk_bytes=20 * 2**20)
    assert done.end == "disk" and not done.ok


async def artifacts_that_are_no_plain_files(play: Play, tmp: Path) -> None:
    script = (
        "import os\nos.symlink('/etc/passwd', 'link')\nos.mkfifo('fifo')\nos.mkdir('folder')\n"
        "os.mkdir('real')\nopen('real/x', 'w').write('x')\nos.symlink('real', 'behind')\n"
        "open('one', 'w').write('1')\nos.link('one', 'hard')\n"
        "os.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 2**20)"
    )
    names = ["link", "fifo", "folder", "behind/x", "hard", "../solution.py", "/etc/passwd"]
    done = await play(script, collect=names)
    assert done.ok and done.files == {} and set(done.refused) == set(names)


async def a_folder_comes_back_whole_or_not_at_all(play: Play, tmp: Path) -> None:
    script = (
        "import os\nos.makedirs('model/deep')\nopen('model/w.bin', 'wb').write(bytes(1000))\n"
        "open('model/deep/ü.txt', 'w').write('1')\nopen('modelx', 'w').write('no')\n"
    )
    done = await play(script, collect=["model/"])
    assert done.ok and set(done.files) == {"model/w.bin", "model/deep/ü.txt"}
    assert text(done, "model/deep/ü.txt") == "1" and done.refused == {}
    for spoiled in (
        "os.symlink('/etc/passwd', 'model/link')",
        "os.mkfifo('model/fifo')",
        "os.makedirs('model/1/2/3/4/5')",
        "[open(f'model/{i}', 'w').close() for i in range(300)]",
        "os.rename('model', 'real')\nos.symlink('real', 'model')",
    ):
        done = await play(script + spoiled, collect=["model/"])
        assert done.ok and done.files == {} and set(done.refused) == {"model/"}, spoiled
    done = await play("print('none')", collect=["model/"])
    assert done.ok and done.files == done.refused == {}


async def variants_come_back_by_their_names(play: Play, tmp: Path) -> None:
    patterns = ["oof.csv", "oof-*.csv"]
    script = (
        "import os\n"
        "for name in ('a', 'B_2-x', 'c' * 32): open(f'oof-{name}.csv', 'w').write(name)\n"
        "for name in ('', 'd' * 33, '-e', 'ü', 'f.g'): open(f'oof-{name}.csv', 'w').close()\n"
        "os.symlink('/etc/passwd', 'oof-link.csv')\nos.mkdir('oof-folder.csv')\n"
        "os.mkdir('below')\nopen('below/oof-h.csv', 'w').close()\nopen('oof.csv', 'w').write('1')"
    )
    done = await play(script, collect=patterns)
    kept = {"oof.csv", "oof-a.csv", "oof-B_2-x.csv", f"oof-{'c' * 32}.csv"}
    assert done.ok and set(done.files) == kept and text(done, "oof-a.csv") == "a"
    assert set(done.refused) == {"oof-*.csv", "oof-link.csv", "oof-folder.csv"}
    assert "has no name of 1 to 32" in done.refused["oof-*.csv"]
    done = await play(
        "for i in range(60): open(f'oof-{i:02}.csv', 'w').write('x')", collect=patterns
    )
    assert len(done.files) == 24 and "oof-23.csv" in done.files
    assert done.refused["oof-*.csv"] == "of 60 files, the first 24 by name count"
    assert (await play("open('oof-a.csv', 'w')", collect=["oof.csv"])).files == {}


async def many_at_once(play: Play, tmp: Path) -> None:
    scripts = [
        f"import time\nopen('out', 'w').write('{i}')\ntime.sleep(0.5)\nprint({i})" for i in range(4)
    ]
    done = await asyncio.gather(*(play(script, collect=["out"]) for script in scripts))
    assert (
        [item.output.strip() for item in done]
        == [text(item, "out") for item in done]
        == ["0", "1", "2", "3"]
    )


async def counts_time(play: Play, tmp: Path) -> None:
    done = await play(
        "import time\nuntil = time.process_time() + 1\nwhile time.process_time() < until: pass"
    )
    assert done.cpu_s is not None and done.cpu_s > 0.5 and done.wall_s > 0.5


Case = Callable[[Play, Path], Awaitable[None]]
CASES: list[Case] = [
    exit_code,
    success,
    traceback_reaches_the_output,
    killed_by_a_signal,
    leaves_by_the_back_door,
    both_streams_in_order,
    output_keeps_head_and_tail,
    output_flood_is_ended,
    output_that_is_no_text,
    unicode_everywhere,
    text_and_binary_files_come_back,
    large_files_both_ways,
    inputs_are_read_only,
    inputs_in_a_folder_of_ours,
    changed_inputs_are_seen,
    nothing_stays_from_one_script_to_the_next,
    works_in_its_own_folder,
    imports_its_own_modules,
    environment,
    timeout_ends_the_whole_tree,
    grace_lets_a_script_save_itself,
    leftovers_of_a_finished_script_die,
    cancelling_ends_the_whole_tree,
    memory_of_one_process,
    memory_of_the_whole_tree,
    disk_is_bounded,
    artifacts_that_are_no_plain_files,
    a_folder_comes_back_whole_or_not_at_all,
    variants_come_back_by_their_names,
    many_at_once,
    counts_time,
]
