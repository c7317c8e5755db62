"""The worker's client: typed calls from the main process, which itself loads neither pandas nor scikit-learn."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any, cast

from task.types import (
    BlendJson,
    GradeJson,
    PairedJson,
    Prepared,
    ProblemJson,
    Reference,
    Task,
    TaskError,
)

MAX_LINE_BYTES = 256 * 2**20
CALL_TIMEOUT_S = 900.0


class WorkerError(Exception):
    """A bug in a task function; the message is the worker's traceback."""


class TaskWorker:
    """One child process, started at the first call; calls run one after the other. Ends by `close` or with this process."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._count = 0

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """The function's value. Raises TaskError for a refused task, WorkerError for a bug, TimeoutError after 15 minutes."""
        async with self._turn:
            process = await self._started()
            self._count += 1
            request = json.dumps({"id": self._count, "call": name, "arguments": arguments}) + "\n"
            try:
                line = await asyncio.wait_for(self._exchange(process, request), CALL_TIMEOUT_S)
            except BaseException:  # cancelled or late: the next call must not read this one's reply
                await self._kill()
                raise
        reply = json.loads(line)
        if "refused" in reply:
            raise TaskError(reply["refused"])
        if "broken" in reply:
            raise WorkerError(f"{name}: {reply['broken']}")
        return reply["value"]

    async def _exchange(self, process: asyncio.subprocess.Process, request: str) -> bytes:
        assert process.stdin and process.stdout
        process.stdin.write(request.encode())
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise WorkerError(
                f"the task worker ended with code {await process.wait()}; it may have run out of memory"
            )
        return line

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "task.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_LINE_BYTES,
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self) -> None:
        """Ends the worker."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()

    # typed calls

    async def load_task(self, path: str) -> Task:
        return Task.model_validate(await self.call("load_task", path=path))

    async def init_task(
        self,
        folder: str,
        *,
        force: bool = False,
        target: str | None = None,
        hold_out: float | None = None,
    ) -> tuple[str, list[str]]:
        path, reasons = await self.call(
            "init_task", folder=folder, force=force, target=target, hold_out=hold_out
        )
        return path, reasons

    async def prepare(
        self,
        task: Task,
        public: str,
        private: str,
        *,
        seed: int,
        audit: bool,
        n_folds: int | None = None,
    ) -> Prepared:
        given = {
            "task": task.model_dump(),
            "public": public,
            "private": private,
            "seed": seed,
            "audit": audit,
            "n_folds": n_folds,
        }
        return Prepared.model_validate(await self.call("prepare", **given))

    async def prepare_refit(self, prepared: Prepared, public: str) -> Prepared:
        return Prepared.model_validate(
            await self.call("prepare_refit", prepared=prepared.model_dump(), public=public)
        )

    async def profile(self, prepared: Prepared) -> dict[str, Any]:
        return cast(dict[str, Any], await self.call("profile", prepared=prepared.model_dump()))

    async def preview(self, prepared: Prepared) -> str:
        return str(await self.call("preview", prepared=prepared.model_dump()))

    async def grade(
        self,
        prepared: Prepared,
        files: dict[str, str],
        references: dict[str, Reference],
        execution: dict[str, Any] | None,
        *,
        seed: int = 0,
        every_gate: bool = False,
    ) -> GradeJson:
        given: dict[str, Any] = {
            "prepared": prepared.model_dump(),
            "files": files,
            "references": references,
            "execution": execution,
        }
        given |= {"seed": seed, "every_gate": every_gate}
        return cast(GradeJson, await self.call("grade", **given))

    async def compare_files(
        self, prepared: Prepared, new: list[str], old: list[str], *, seed: int = 0
    ) -> PairedJson | None:
        return cast(
            PairedJson | None,
            await self.call(
                "compare_files", prepared=prepared.model_dump(), new=new, old=old, seed=seed
            ),
        )

    async def check_submission(self, prepared: Prepared, path: str) -> list[ProblemJson]:
        return cast(
            list[ProblemJson],
            await self.call("check_submission", prepared=prepared.model_dump(), path=path),
        )

    async def final_submission(self, prepared: Prepared, source: str, out: str) -> None:
        await self.call("final_submission", prepared=prepared.model_dump(), source=source, out=out)

    async def blend(
        self, prepared: Prepared, members: dict[str, dict[str, str]], out: str
    ) -> BlendJson:
        return cast(
            BlendJson,
            await self.call("blend", prepared=prepared.model_dump(), members=members, out=out),
        )

    async def mix(
        self, prepared: Prepared, submissions: dict[str, str], weights: dict[str, float], out: str
    ) -> None:
        await self.call(
            "mix", prepared=prepared.model_dump(), submissions=submissions, weights=weights, out=out
        )

    async def blend_driver(self, blend: BlendJson) -> str:
        return str(
            await self.call(
                "blend_driver",
                weights=blend["weights"],
                method=blend["method"],
                classes=blend["classes"],
            )
        )

    async def list_examples(self) -> dict[str, str]:
        return cast(dict[str, str], await self.call("list_examples"))

    async def write_example(self, name: str, folder: str, *, seed: int = 0) -> None:
        await self.call("write_example", name=name, folder=folder, seed=seed)

    async def score_private(self, task: str, answers: str, submission: str) -> float:
        return float(
            await self.call("score_private", task=task, answers=answers, submission=submission)
        )
