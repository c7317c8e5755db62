"""Runs inside the sandbox, before the script: limits that only the process itself can set.  Standard library only.

python -I launch.py MEMORY_BYTES FILE_BYTES N_PROCESSES SCRIPT
"""

import os
import resource
import runpy
import sys


def limit(kind: int, value: int) -> None:
    """Soft and hard limit, never above what is allowed already."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def main() -> None:
    memory, file_size, processes = (int(value) for value in sys.argv[1:4])
    script = sys.argv[4]
    limit(resource.RLIMIT_DATA, memory)  # a clean MemoryError; never RLIMIT_AS, which breaks torch (docs/sandbox.md)
    limit(resource.RLIMIT_FSIZE, file_size)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, 4096)
    if os.getuid() != 0:
        limit(resource.RLIMIT_NPROC, processes)
    sys.argv = [script]
    sys.path.insert(0, os.getcwd())
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
