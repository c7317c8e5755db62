"""Let a model write read.py or metric.py of a task that no built-in reader or metric fits.

Each file is run in the sandbox and checked as a person's would be; what is wrong with it is told
to the model, at most N_TRIES times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from reasoner.protocol import FileBrief, FileName, FileTry, FileWriter, Usage, WrittenFile
from sandbox.inside.probe import find_packages
from task.client import TaskWorker
from task.consent import give_consent
from task.grade.metric_words import read_direction_words
from task.types import TaskError, TaskReport

N_TRIES = 3
MADE_FOLDER = "made"
"""Folder of a run that holds the files which a model wrote, with their task.yaml."""
KEYS = {"read.py": "reader", "metric.py": "metric"}
MAX_DESCRIPTION_CHARS = 20_000
Tell = Callable[[str], None]


@dataclass(frozen=True)
class MadeFile:
    """A file that a model wrote and that passed its checks."""

    name: FileName
    path: Path
    summary: str
    tries: int


class FileMaker:
    """Writes the files that a task lacks into `folder`, with the task.yaml that names them.

    `keys`: what task.yaml says already. `usage` is what the answers have cost.
    """

    def __init__(
        self,
        task: str,
        folder: Path,
        keys: dict[str, Any],
        worker: TaskWorker,
        writer: FileWriter,
        tell: Tell,
    ) -> None:
        self.task, self.folder = Path(task).expanduser().resolve(), folder
        self.keys, self.worker, self.writer, self.tell = dict(keys), worker, writer, tell
        self.usage = Usage()
        self.made: list[MadeFile] = []

    @property
    def config(self) -> Path:
        """The task.yaml that names the files."""
        return self.folder / "task.yaml"

    async def make_files(self, report: TaskReport) -> list[MadeFile]:
        """Make what the report says is needed, then what is needed after it.

        Raises TaskError where the model does not manage it, ReasonerError and
        ReasonerUnavailableError where it does not answer.
        """
        while report["needs"]:
            name = cast(FileName, report["needs"])
            if any(made.name == name for made in self.made):
                raise TaskError(str(report["refusal"]))
            report = await self._make_file(name, str(report["refusal"]))
        if report["refusal"]:
            raise TaskError(str(report["refusal"]))
        return self.made

    async def _make_file(self, name: FileName, refusal: str) -> TaskReport:
        """Ask for one file until it passes; return the report of the task with it."""
        earlier: list[FileTry] = []
        for number in range(1, N_TRIES + 1):
            self.tell(f"asking for {name} ({number} of {N_TRIES} tries at most): {refusal}")
            written = await self.writer.write_file(await self._brief(name, refusal, earlier))
            self.usage += written.usage
            report, error = await self._try_file(name, written)
            if not error:
                path = self.folder / name
                self.made.append(MadeFile(name, path, written.summary, number))
                self.tell(f"{path}: {written.summary or 'written'}; it passed its checks")
                return report
            self.tell(f"{name} was refused: {error}")
            earlier.append(FileTry(script=written.script, error=error, direction=written.direction))
        raise TaskError(
            f"{refusal}; the model's {name} was refused {N_TRIES} times, the last time because "
            f"{earlier[-1].error} (it is kept as {self.folder / name})"
        )

    async def _brief(self, name: FileName, refusal: str, earlier: list[FileTry]) -> FileBrief:
        config = str(self.config) if self.config.exists() else None
        contents = await self.worker.show_contents(str(self.task), config)
        return FileBrief(
            file=name,
            name=self.task.name,
            description=self._description(),
            refusal=refusal,
            packages=find_packages(),
            earlier=earlier,
            **contents,
        )

    async def _try_file(self, name: FileName, written: WrittenFile) -> tuple[TaskReport, str]:
        """Write the file, read the task with it, and say what is wrong; empty for nothing."""
        self._write_file(name, written)
        report = await self.worker.describe_task(str(self.task), config=str(self.config))
        if name == "metric.py":
            said = read_direction_words(self._description())
            if said and said != written.direction:
                return report, (
                    f"`direction` is {written.direction!r} and the description says that "
                    f"{'higher' if said == 'max' else 'lower'} is better"
                )
            if report["rehearsal"] and report["rehearsal"].get("optimum") is None:
                return report, "it does not define `optimum`, the score of a perfect submission"
        is_done = report["refusal"] is None or report["needs"] not in ("", name)
        return report, "" if is_done else str(report["refusal"])

    def _write_file(self, name: FileName, written: WrittenFile) -> None:
        """Write the file and the task.yaml that names it; files that passed stay named."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = written.script.encode()
        (self.folder / name).write_bytes(content)
        self.keys[KEYS[name]] = name
        if name == "metric.py":
            give_consent(content)  # it was made here and runs in the sandbox
            self.keys["direction"] = written.direction
        lines = yaml.safe_dump(self.keys, sort_keys=False, allow_unicode=True)
        self.config.write_text("# Written by Gome, with files that a model wrote.\n" + lines)

    def _description(self) -> str:
        path = self.task / "description.md"
        text = path.read_text(errors="replace") if path.is_file() else ""
        return text[:MAX_DESCRIPTION_CHARS]


def read_keys(task: str, config: str | None) -> dict[str, Any]:
    """Return what the task.yaml of a task says; nothing where there is none or it is damaged."""
    path = Path(config).expanduser() if config else Path(task).expanduser() / "task.yaml"
    try:
        keys = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return dict(keys) if isinstance(keys, dict) else {}
