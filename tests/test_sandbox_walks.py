"""Folders that a script left come back to nothing: of any depth, any mode, with any leftover."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from kit import HONEST, Player, events, quick, write_task

from sandbox.inside.collect import collect_files
from sandbox.inside.walk import (
    FolderWalk,
    free_place,
    make_fresh_folder,
    measure_folder,
    remove_folder,
)
from sandbox.local.users import give_folder
from session.session import start_run

USER, MIB = 20001, 2**20
LONG = "d" * 200
ordinary = pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user")


def as_user(act: Callable[[], None]) -> None:
    """Run a check in a child that is an ordinary user."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            act()
            code = 0
        finally:
            traceback.print_exc() if code else None
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of the ordinary user's, below ones that it may enter."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    if os.getuid() == 0:
        os.chown(tmp_path, USER, USER)
    return tmp_path


def nest(folder: Path, depth: int) -> int:
    """Nest folders, deeper than a path can name; return a descriptor of the last one."""
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(LONG, dir_fd=handle)
        below = os.open(LONG, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    return handle


def write_below(handle: int, n_bytes: int) -> None:
    file = os.open("x", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=handle)
    os.write(file, os.urandom(n_bytes))
    os.close(file)


def test_1500_nested_folders_are_measured_and_removed(tmp_path: Path) -> None:
    handle = nest(tmp_path / "w", 1500)
    write_below(handle, MIB)
    os.close(handle)
    use = measure_folder(tmp_path / "w", 10_000)
    assert use.n_bytes >= MIB and use.n_files == 1501 and use.unread == ""
    assert remove_folder(tmp_path / "w") == "" and list(tmp_path.iterdir()) == []


def test_a_walk_ends_at_its_bound(tmp_path: Path) -> None:
    os.close(nest(tmp_path / "w", 300))
    assert measure_folder(tmp_path / "w", 100).n_files == 101
    assert remove_folder(tmp_path / "w") == ""


def test_a_folder_that_moves_leads_nobody_outside(tmp_path: Path) -> None:
    (tmp_path / "w/a/b").mkdir(parents=True)
    walk = FolderWalk(tmp_path / "w", 0o500)
    walk.enter("a")
    walk.enter("b")
    (tmp_path / "w/a/b").rename(tmp_path / "b")
    with pytest.raises(OSError, match="was moved"):
        walk.leave()
    walk.close()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("x")
    (tmp_path / "w").mkdir()
    (tmp_path / "w/link").symlink_to(tmp_path / "kept")
    (tmp_path / "planted").symlink_to(tmp_path / "kept")
    assert measure_folder(tmp_path / "w", 10).n_files == 1
    assert remove_folder(tmp_path / "w") == remove_folder(tmp_path / "planted") == ""
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


@ordinary
def test_a_folder_is_given_away_with_its_links_and_nothing_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    (tmp_path / "w/a/b").mkdir(parents=True)
    (tmp_path / "w/a/b/file").write_text("x")
    (tmp_path / "w/a/link").symlink_to(tmp_path / "kept")
    (tmp_path / "w/a").chmod(0)
    give_folder(tmp_path / "w", USER)
    below = list((tmp_path / "w").rglob("*"))
    assert [path.lstat().st_uid for path in below] == [USER] * 4
    assert [(tmp_path / name).stat().st_uid for name in ("kept", "w")] == [os.getuid()] * 2


def close_all(folder: Path) -> None:
    """Make folders and files that their owner may not read, enter or change."""
    for mode in (0, 0o300, 0o500, 0o600):
        (folder / f"m{mode:o}/below").mkdir(parents=True)
        file = folder / f"m{mode:o}/below/x"
        file.write_bytes(os.urandom(MIB))
        file.chmod(0)
        for path in (file.parent, file.parent.parent):
            path.chmod(mode)


@ordinary
def test_an_ordinary_user_measures_and_removes_what_has_no_rights(place: Path) -> None:
    def check() -> None:
        (place / "w").mkdir()
        close_all(place / "w")
        use = measure_folder(place / "w", 100)
        assert use.n_bytes >= 4 * MIB and use.unread == ""
        assert remove_folder(place / "w") == "" and not (place / "w").exists()

    as_user(check)


@ordinary
def test_artifacts_that_cannot_be_read_are_refused(place: Path) -> None:
    def check() -> None:
        (place / "closed").mkdir()
        for name in ("oof.csv", "closed/x.csv"):
            (place / name).write_text("x")
            (place / name).chmod(0)
        (place / "closed").chmod(0)
        files, refused = collect_files(place, ["oof.csv", "closed/x.csv"])
        assert files == {} and refused == {
            "oof.csv": "not readable (Permission denied)",
            "closed/x.csv": "in a folder that cannot be entered",
        }

    as_user(check)


@ordinary
def test_what_cannot_be_removed_is_set_aside_and_told_once(place: Path) -> None:
    def check() -> None:
        assert "t0s0.left1 cannot be removed" in (told := free_place(place / "t0s0"))
        assert "remove it by hand" in told and (place / "t0s0.left1/foreign/x").exists()
        for _ in range(2):  # the same attempt again, and after a kill
            fresh, left = make_fresh_folder(place / "t0s0")
            assert fresh == place / "t0s0" and left == "" and list(fresh.iterdir()) == []
            (fresh / "x").write_text("x")
        assert free_place(fresh) == "" and not fresh.exists()

    (place / "t0s0/foreign").mkdir(parents=True)
    (place / "t0s0/foreign/x").write_text("x")
    os.chown(place / "t0s0", USER, USER)
    as_user(check)


@ordinary
def test_an_attempt_goes_elsewhere_if_its_place_cannot_be_freed(place: Path) -> None:
    def check() -> None:
        fresh, left = make_fresh_folder(work / "t0s0")
        assert fresh == work / "t0s0.again1" and "t0s0 cannot be removed" in left

    work = place / "work"
    (work / "t0s0/foreign").mkdir(parents=True)
    work.chmod(0o1777)  # sticky: only the owner of t0s0 may rename it
    as_user(check)


BAD_MANNERS = """
import os
for name, mode in (("closed", 0), ("blind", 0o300)):
    os.makedirs(name + "/below")
    os.chmod(name, mode)
for _ in range(1500):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
"""


async def test_a_run_goes_on_after_a_script_that_nests_and_closes_folders(tmp_path: Path) -> None:
    player = Player([HONEST.format(noise=0.5) + BAD_MANNERS])
    task = str(write_task(tmp_path / "task"))
    settings = quick(tmp_path, traces=1, steps=2)
    outcome = await start_run(task, settings, folder=tmp_path / "run", reasoner=player)
    verdicts = [event["verdict"] for event in events(outcome.folder, "attempt")]
    assert verdicts == ["accepted"]
    assert list((tmp_path / "run/work").iterdir()) == []
