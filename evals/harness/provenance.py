"""Provenance of a published figure: command, date, versions, machine."""

from __future__ import annotations

import os
import platform
import time

from run.folder import package_versions


def provenance_note(command: str) -> str:
    """Return the paragraph that goes below a published table."""
    packages = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    machine = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )
    return f"*Command: `{command}`. {time.strftime('%Y-%m-%d')}; {machine}; {packages}.*\n"
