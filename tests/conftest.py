"""What this machine has must not change what tests see, and task workers start warm."""

import os
import sys
from collections.abc import Iterator

import pytest
from warm_worker import WarmWorkers

from task import client

os.environ["GOME_EMBEDDING"] = "lexical"  # `auto` uses the weights that lie in the user's cache


@pytest.fixture(scope="session", autouse=True)
def warm_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fork the workers of this process from one that has their libraries; not under coverage."""
    if "coverage" in sys.modules:  # a fork's lines would not be counted
        yield
        return
    workers = WarmWorkers(tmp_path_factory.mktemp("warm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "worker_command", workers.command)
        yield
    workers.close()
