"""Files of one E2B sandbox: up under the hash of their content, back checked by hash. Every transfer may be repeated."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any

from sandbox.e2b.errors import again
from sandbox.parcels import Parcel
from sandbox.protocol import Job

TRANSFER_BYTES_S = 256 * 1024  # slower than this, a transfer counts as stuck


class Files:
    """Around the SDK's `files`, always as root."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.present: set[str] = set()

    async def write(self, texts: dict[str, bytes]) -> None:
        entries = [{"path": path, "data": data} for path, data in texts.items()]
        await again(lambda: self.api.write_files(entries, user="root"))

    async def send(self, parcel: Parcel, data: str) -> None:
        """Under its hash, whole or not at all; a template may hold it already."""
        path = f"{data}/{parcel.sha256}"
        if parcel.sha256 in self.present or await again(lambda: self._has(path, parcel.n_bytes)):
            self.present.add(parcel.sha256)
            return
        part = f"{path}.{uuid.uuid4().hex[:8]}.part"

        async def upload() -> None:
            async with asyncio.timeout(60 + parcel.n_bytes / TRANSFER_BYTES_S):
                with parcel.path.open("rb") as file:
                    await self.api.write(part, file, user="root")

        await again(upload)
        await again(lambda: self._place(part, path, parcel.n_bytes))
        self.present.add(parcel.sha256)

    async def _has(self, path: str, n_bytes: int) -> bool:
        from e2b.exceptions import NotFoundException

        try:
            return int((await self.api.get_info(path, user="root")).size) == n_bytes
        except NotFoundException:
            return False

    async def _place(self, part: str, path: str, n_bytes: int) -> None:
        """A repeated rename finds that the first one worked."""
        from e2b.exceptions import NotFoundException

        try:
            await self.api.rename(part, path, user="root")
        except NotFoundException:
            if not await self._has(path, n_bytes):
                raise

    async def read(self, path: str) -> bytearray:
        data: bytearray = await again(lambda: self.api.read(path, format="bytes", user="root"))
        return data

    async def fetch(
        self, job: Job, place: str, found: dict[str, tuple[int, str]]
    ) -> dict[str, str]:
        """Only names that were asked for, only as large as told, checked by hash."""
        files = {}
        for name in job.collect:
            if name in found:
                size, digest = found[name]
                target = job.workspace / name
                await again(lambda: self._download(f"{place}/{name}", target, size, digest))  # noqa: B023 - awaited at once
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
