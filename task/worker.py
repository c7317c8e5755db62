"""The worker process: pandas and scikit-learn live here.  JSON lines in on stdin, JSON lines out on a descriptor of its own.

A request is {"id", "call", "arguments"}; a reply {"id", "value"} or {"id", "refused"} (a TaskError's sentence) or {"id", "broken"} (a traceback).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Any

from task.types import Prepared, Task, TaskError

Json = dict[str, Any]


def load_task(path: str) -> Json:
    from task.load.spec import load_task as load

    return load(path).model_dump()


def init_task(
    folder: str, force: bool = False, target: str | None = None, hold_out: float | None = None
) -> Any:
    from task.load.init import init_task as init

    return init(folder, force=force, target=target, hold_out=hold_out)


def prepare(
    task: Json, public: str, private: str, seed: int, audit: bool, n_folds: int | None = None
) -> Json:
    from task.data.prepare import prepare as make

    return make(
        Task.model_validate(task), public, private, seed=seed, audit=audit, n_folds=n_folds
    ).model_dump()


def prepare_refit(prepared: Json, public: str) -> Json:
    from task.data.prepare import prepare_refit as make

    return make(Prepared.model_validate(prepared), public).model_dump()


def profile(prepared: Json) -> Json:
    from task.data.profile import profile as look

    return look(Prepared.model_validate(prepared))


def preview(prepared: Json) -> str:
    from task.data.preview import preview as look

    return look(Prepared.model_validate(prepared))


def grade(
    prepared: Json,
    files: dict[str, str],
    references: dict[str, Any],
    execution: Json | None,
    seed: int = 0,
    every_gate: bool = False,
) -> Any:
    from task.grade.grade import grade as judge

    return judge(
        Prepared.model_validate(prepared),
        files,
        references,
        execution,
        seed=seed,
        every_gate=every_gate,
    )


def compare_files(prepared: Json, new: list[str], old: list[str], seed: int = 0) -> Any:
    from task.grade.grade import compare_files as judge

    return judge(Prepared.model_validate(prepared), new, old, seed=seed)


def check_submission(prepared: Json, path: str) -> Any:
    from task.grade.grade import check_submission as check

    return check(Prepared.model_validate(prepared), path)


def final_submission(prepared: Json, source: str, out: str) -> None:
    from task.data.prepare import final_submission as write

    write(Prepared.model_validate(prepared), source, out)


def blend(prepared: Json, members: dict[str, dict[str, str]], out: str) -> Any:
    from task.grade.blend import blend as make

    return make(Prepared.model_validate(prepared), members, out)


def mix(prepared: Json, submissions: dict[str, str], weights: dict[str, float], out: str) -> None:
    from task.grade.blend import mix as make

    make(Prepared.model_validate(prepared), submissions, weights, out)


def blend_driver(weights: dict[str, float], method: str, classes: list[str]) -> str:
    from task.grade.blend import driver

    return driver(weights, method, classes)


def list_examples() -> dict[str, str]:
    from task.load.examples import list_examples as names

    return names()


def write_example(name: str, folder: str, seed: int = 0) -> None:
    from task.load.examples import write_example as write

    write(name, folder, seed=seed)


def score_private(task: str, answers: str, submission: str) -> float:
    from task.load.examples import score_private as score

    return score(task, answers, submission)


CALLS = {
    call.__name__: call
    for call in (
        load_task,
        init_task,
        prepare,
        prepare_refit,
        profile,
        preview,
        grade,
        compare_files,
        check_submission,
        final_submission,
        blend,
        mix,
        blend_driver,
        list_examples,
        write_example,
        score_private,
    )
}


def answer(request: Json) -> Json:
    try:
        return {"id": request["id"], "value": CALLS[request["call"]](**request["arguments"])}
    except TaskError as error:
        return {"id": request["id"], "refused": str(error)}
    except (
        Exception
    ):  # the worker must outlive a bug in one call; the client raises it with this traceback
        return {"id": request["id"], "broken": traceback.format_exc()[-4000:]}


def main() -> None:
    """Serves until stdin closes, so that the worker ends with its owner, however that ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's Ctrl-C goes to the whole group; the owner decides
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # stray prints must not enter the protocol
    with suppress(BrokenPipeError):  # the owner was killed while this answered
        for line in sys.stdin:
            out.write(json.dumps(answer(json.loads(line)), default=str) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
