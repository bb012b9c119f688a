"""Builds something expensive once for all test processes.

Use it in a session fixture whose result no test changes: an installation, a release.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def build_once(name: str, build: Callable[[Path], None], factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder ``name``; the first process that needs it fills it with ``build``.

    If ``build`` fails or skips, the next process tries again, so that each process reports the reason.
    """
    base = factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / name
    done = folder.with_name(f"{name}.done")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            done.touch()
    return folder
