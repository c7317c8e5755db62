"""Files of one E2B sandbox.

Inputs are stored under the hash of their content, results are checked by hash, and every transfer
may be repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.e2b.errors import retry_transient
from sandbox.inside.collect import MAX_FOLDER_BYTES, wanted_names
from sandbox.parcels import Parcel
from sandbox.protocol import Job

TRANSFER_BYTES_S = 256 * 1024  # slower than this, a transfer counts as stuck


class BoxFiles:
    """Transfers by the SDK's `files`, always as root; `present` has the hashes that are there."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.present: set[str] = set()

    async def write(self, texts: dict[str, bytes]) -> None:
        """Write small files: path -> content."""
        entries = [{"path": path, "data": data} for path, data in texts.items()]
        await retry_transient(lambda: self.api.write_files(entries, user="root"))

    async def send(self, parcel: Parcel, data: str) -> None:
        """Store a parcel in the folder `data` under its hash; a template may contain it already.

        It is uploaded under another name and renamed, so that it is whole or missing.
        """
        path = f"{data}/{parcel.sha256}"
        if parcel.sha256 in self.present or await retry_transient(
            lambda: self._has(path, parcel.n_bytes)
        ):
            self.present.add(parcel.sha256)
            return
        part = f"{path}.{uuid.uuid4().hex[:8]}.part"

        async def upload() -> None:
            async with asyncio.timeout(60 + parcel.n_bytes / TRANSFER_BYTES_S):
                with parcel.path.open("rb") as file:
                    await self.api.write(part, file, user="root")

        await retry_transient(upload)
        await retry_transient(lambda: self._place(part, path, parcel.n_bytes))
        self.present.add(parcel.sha256)

    async def _has(self, path: str, n_bytes: int) -> bool:
        from e2b.exceptions import NotFoundException

        try:
            return int((await self.api.get_info(path, user="root")).size) == n_bytes
        except NotFoundException:
            return False

    async def _place(self, part: str, path: str, n_bytes: int) -> None:
        """Rename an upload; a repeated call may find that the first one worked."""
        from e2b.exceptions import NotFoundException

        try:
            await self.api.rename(part, path, user="root")
        except NotFoundException:
            if not await self._has(path, n_bytes):
                raise

    async def read(self, path: str) -> bytearray:
        """Read a whole file."""
        data: bytearray = await retry_transient(
            lambda: self.api.read(path, format="bytes", user="root")
        )
        return data

    async def fetch(
        self, job: Job, folder: str, reported: dict[str, tuple[int, str]]
    ) -> dict[str, str]:
        """Download the files that the job asks for into its workspace; name -> path.

        Args:
            job: names the files to collect.
            folder: the script's folder in the sandbox.
            reported: name -> (size, SHA-256), as the supervisor reported them; checked.
        """
        files = {}
        names = wanted_names(job.collect, reported)
        for below in (name for name in job.collect if name.endswith("/")):
            inside = [name for name in names if name.startswith(below)]
            if sum(reported[name][0] for name in inside) > MAX_FOLDER_BYTES:
                names = [name for name in names if name not in inside]
        for name in names:
            size, digest = reported[name]
            target = job.workspace / name
            download = partial(self._download, f"{folder}/{name}", target, size, digest)
            await retry_transient(download)
            files[name] = str(target)
        return files

    async def _download(self, path: str, target: Path, size: int, digest: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        total, n_bytes = hashlib.sha256(), 0
        async with asyncio.timeout(60 + size / TRANSFER_BYTES_S):
            with target.open("wb") as file:
                async for chunk in await self.api.read(path, format="stream", user="root"):
                    n_bytes += len(chunk)
                    if n_bytes > size:
                        break
                    total.update(chunk)
                    file.write(chunk)
        if n_bytes != size or total.hexdigest() != digest:
            raise OSError(f"{path} came back damaged ({n_bytes} of {size} bytes)")
