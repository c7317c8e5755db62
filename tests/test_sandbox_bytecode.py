"""Packages without bytecode are compiled once, outside the sandbox, not at every start."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from sandbox.local.bytecode import compile_packages, lacks_bytecode, package_roots
from sandbox.local.interpreter import find_interpreter


def test_packages_without_bytecode_are_compiled_once_without_their_tests(
    tmp_path: Path,
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
    python = replace(find_interpreter(), site_folders=(str(tmp_path),))
    tag = python.tag
    assert package_roots("slow-start", python) == [root] and lacks_bytecode(root, tag)
    before = compile_packages([])  # what this environment itself lacks
    assert compile_packages(["slow-start"], python) == 1 and before >= 0
    assert tag == sys.implementation.cache_tag
    assert (root / "deep/__pycache__" / f"__init__.{tag}.pyc").exists() and not (
        root / "tests/__pycache__"
    ).exists()
    assert not lacks_bytecode(root, tag) and compile_packages(["slow-start"], python) == 0


def test_a_missing_package_is_not_an_error() -> None:
    assert package_roots("no-such-distribution", find_interpreter()) == []
