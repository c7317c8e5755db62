"""Where the E2B tests are pointed: at the fake, or by environment variables at a real service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_e2b import FakeE2B

REAL = os.environ.get("GOME_TEST_E2B") == "real"
TEMPLATE = os.environ.get("GOME_TEST_E2B_TEMPLATE") or None


@contextmanager
def service(folder: Path) -> Iterator[FakeE2B | None]:
    """The fake, with the environment pointed at it; None when a real service is meant."""
    if REAL:
        yield None
        return
    with FakeE2B(folder) as fake, pytest.MonkeyPatch.context() as patch:
        for name, value in fake.environment.items():
            patch.setenv(name, value)
        yield fake
