"""The weights of MiniLM for `embedding = auto`: found on this machine, or fetched once.

They lie where Chroma looks for them. A download is checked by its hash before anything is
unpacked, a run waits seconds for it, and a failure is not tried again for a day.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report.formatting import format_age

ANSWER_S = 5.0
"""How long a run waits for the first byte: offline, this is all that it loses."""
WAIT_S = 20.0
"""How long it waits for the rest; a slower download goes on for later runs."""
SILENCE_S, DOWNLOAD_S = 30.0, 1_800.0
RETRY_S = 24 * 3_600.0
STALE_S = 3_600.0
MAX_BYTES = 400 * 2**20
"""Longest archive, and longest file in it."""
FILES = (
    "config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.txt",
    "model.onnx",
)
"""What the archive holds, in the order in which the files are moved to their place."""
PROBLEMS = (OSError, ValueError, EOFError, tarfile.TarError)


class WeightsError(Exception):
    """The weights are not here; the message says why."""


@dataclass(frozen=True)
class Weights:
    """An archive of weights: where it comes from, its hash, and the folder that it is for."""

    url: str
    sha256: str
    place: str

    @property
    def folder(self) -> Path:
        """The folder that holds `onnx/`."""
        return Path(self.place).expanduser()


MINILM = Weights(  # as chromadb's ONNXMiniLM_L6_V2 has them
    url="https://chroma-onnx-models.s3.amazonaws.com/all-MiniLM-L6-v2/onnx.tar.gz",
    sha256="913d7300ceae3b2dbc2c50d1de4baacab4be7b9380491c27fab7418616a16ec3",
    place="~/.cache/chroma/onnx_models/all-MiniLM-L6-v2",
)
_downloads: dict[Weights, Download] = {}
_starting = threading.Lock()


def find_weights(weights: Weights) -> Path | None:
    """Return the folder of the unpacked weights; None where a file is missing."""
    folder = weights.folder / "onnx"
    return folder if all((folder / name).is_file() for name in FILES) else None


def ensure_weights(weights: Weights, *, fetch: bool) -> Path:
    """Return the folder of the weights; `fetch`: download them if they are not here.

    Raises WeightsError.
    """
    if found := find_weights(weights):
        return found
    if not fetch:
        raise WeightsError("its weights are not on this machine")
    if failure := _recent_failure(weights):
        raise WeightsError(failure)
    with _starting:
        download = _downloads.get(weights)
        if download is None:
            download = _downloads[weights] = Download(weights)
            download.start()
    download.wait()
    if found := find_weights(weights):
        return found
    raise WeightsError(f"what came from {weights.url} lacks a file")


def fetch_weights(weights: Weights) -> Path:
    """Download the weights, however long it takes. Raises WeightsError."""
    with _worded(f"fetching {weights.url}"):
        _download(weights, threading.Event())
    return weights.folder / "onnx"


def install_weights(weights: Weights, archive: Path) -> Path:
    """Unpack an archive that a user brought. Raises WeightsError if it is another one."""
    with _worded(f"taking weights from {archive}"), archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != weights.sha256:
            raise ValueError(f"its sha256 is {digest}, expected {weights.sha256}")
        _unpack(archive, weights)
    return weights.folder / "onnx"


class Download(threading.Thread):
    """One download of this process; it ends with it."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(name="weights", daemon=True)
        self.weights = weights
        self.answered = threading.Event()
        self.ended = threading.Event()
        self.problem = ""

    def run(self) -> None:
        """Download and unpack; remember a failure."""
        try:
            with _worded(f"fetching {self.weights.url}"):
                _download(self.weights, self.answered)
        except WeightsError as error:
            self.problem = str(error)
            _remember_failure(self.weights, self.problem)
        self.ended.set()
        self.answered.set()

    def wait(self) -> None:
        """Wait as long as a run may. Raises WeightsError."""
        if not self.answered.wait(ANSWER_S):
            problem = f"fetching {self.weights.url} failed: no answer within {ANSWER_S:.0f} s"
            _remember_failure(self.weights, problem)
            raise WeightsError(problem)
        if not self.ended.wait(WAIT_S):
            raise WeightsError(
                f"fetching {self.weights.url} takes more than {WAIT_S:.0f} s; it goes on while "
                "this run lasts, for later runs"
            )
        if self.problem:
            raise WeightsError(self.problem)


def _download(weights: Weights, answered: threading.Event) -> None:
    weights.folder.mkdir(parents=True, exist_ok=True)
    _remove_stale(weights.folder)
    handle, name = tempfile.mkstemp(suffix=".part", dir=weights.folder)
    part = Path(name)
    deadline = time.monotonic() + DOWNLOAD_S
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(weights.url, timeout=SILENCE_S) as answer,
        ):
            answered.set()
            while piece := answer.read(2**18):
                n_bytes += len(piece)
                if n_bytes > MAX_BYTES or time.monotonic() > deadline:
                    raise ValueError("it takes too long, or is too large")
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != weights.sha256:
            raise ValueError(f"what came has the sha256 {digest.hexdigest()[:12]}…, not the known")
        _unpack(part, weights)
        _failure_path(weights).unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)


def _unpack(archive: Path, weights: Weights) -> None:
    """Move the known files, and no others, to their place; the model comes last."""
    place = weights.folder / "onnx"
    place.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=weights.folder) as draft,
        tarfile.open(archive, "r:gz") as tar,
    ):
        for name in FILES:
            _extract_file(tar, f"onnx/{name}", Path(draft) / name)
        for name in FILES:
            (Path(draft) / name).replace(place / name)


def _extract_file(tar: tarfile.TarFile, name: str, target: Path) -> None:
    try:
        member = tar.getmember(name)
    except KeyError:
        raise ValueError(f"it holds no {name}") from None
    source = tar.extractfile(member) if member.isfile() and member.size <= MAX_BYTES else None
    if source is None:
        raise ValueError(f"its {name} is not a plain file")
    with source, target.open("wb") as file:
        while piece := source.read(2**20):
            file.write(piece)


def _remove_stale(folder: Path) -> None:
    """Remove what downloads left that were killed."""
    for path in folder.glob("*.part"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


def _failure_path(weights: Weights) -> Path:
    return weights.folder / "gome-fetch-failed"


def _remember_failure(weights: Weights, problem: str) -> None:
    with suppress(OSError):  # of a read-only home: this process remembers its download
        weights.folder.mkdir(parents=True, exist_ok=True)
        _failure_path(weights).write_text(problem)


def _recent_failure(weights: Weights) -> str:
    """The failure of the last day and how long ago it was; empty if there is none."""
    path = _failure_path(weights)
    try:
        age = time.time() - path.stat().st_mtime
        problem = path.read_text()[:300].replace("\n", " ")
    except (OSError, ValueError):
        return ""
    is_recent = 0 <= age < RETRY_S
    return f"{problem} (tried {format_age(age)})" if is_recent else ""


@contextmanager
def _worded(action: str) -> Iterator[None]:
    """Turn a failure into a WeightsError."""
    try:
        yield
    except PROBLEMS as error:
        inner: Any = getattr(error, "reason", None) or error  # urllib wraps what the socket said
        reason = str(getattr(inner, "strerror", None) or inner)
        raise WeightsError(f"{action} failed: {' '.join(reason.split())[:160]}") from None
