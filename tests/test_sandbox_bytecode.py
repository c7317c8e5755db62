"""Packages without bytecode are compiled once, outside the sandbox, not at every start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.local.bytecode import compile_packages, lacks_bytecode, package_roots


def test_packages_without_bytecode_are_compiled_once_without_their_tests(
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
    assert package_roots("slow-start") == [root] and lacks_bytecode(root)
    before = compile_packages([])  # what this environment itself lacks
    assert compile_packages(["slow-start"]) == 1 and before >= 0
    tag = sys.implementation.cache_tag
    assert (root / "deep/__pycache__" / f"__init__.{tag}.pyc").exists() and not (
        root / "tests/__pycache__"
    ).exists()
    assert not lacks_bytecode(root) and compile_packages(["slow-start"]) == 0


def test_a_missing_package_is_not_an_error() -> None:
    assert package_roots("no-such-distribution") == []
