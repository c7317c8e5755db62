"""Where a figure comes from: command, date, versions, machine."""

from __future__ import annotations

import os
import platform
import time

from run.folder import package_versions


def provenance(command: str) -> str:
    """A paragraph that stands below every published table."""
    named = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"*Command: `{command}`. {time.strftime('%Y-%m-%d')}; {machine}; {named}.*\n"
