"""Builds something expensive once for all processes that run tests.

Use it in a session fixture whose result no test changes: an installation, a release.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def build_once(name: str, build: Callable[[Path], None], factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder ``name``, which the first process that needs it has filled with ``build``.

    If that fails or is skipped, the next process tries again, so that each reports why.
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
