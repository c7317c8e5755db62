"""Packages without bytecode are compiled once, outside the sandbox, so that scripts need not do it at every start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.local.bytecode import compile_packages, lacks, roots_of


def test_what_lacks_bytecode_is_compiled_once_and_its_tests_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "slow_start"
    for folder in (root, root / "deep", root / "tests"):
        folder.mkdir()
        (folder / "__init__.py").write_text("x = 1\n")
    info = tmp_path / "slow_start-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-start\nVersion: 1.0\n")
    (info / "RECORD").write_text(
        "slow_start/__init__.py,,\nslow_start/deep/__init__.py,,\nslow_start/tests/__init__.py,,\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert roots_of("slow-start") == [root] and lacks(root)
    before = compile_packages([])  # what this environment itself lacks
    assert compile_packages(["slow-start"]) == 1 and before >= 0
    tag = sys.implementation.cache_tag
    assert (root / "deep/__pycache__" / f"__init__.{tag}.pyc").exists() and not (
        root / "tests/__pycache__"
    ).exists()
    assert not lacks(root) and compile_packages(["slow-start"]) == 0


def test_a_package_that_is_not_there_is_no_error() -> None:
    assert roots_of("no-such-distribution") == []
