"""Lets only one installation or uninstallation of a user run at a time."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TIMEOUT_SECONDS = 120.0
_INTERVAL_SECONDS = 0.05


@contextmanager
def exclusive() -> Iterator[None]:
    """Run the block while no other process of this user is in such a block. In it, Ctrl-C raises KeyboardInterrupt.

    The system releases the lock when the process ends. A system without locks, such as some network file systems,
    runs the block without one.

    Raises:
        TimeoutError: Another process did not leave its block.
    """
    descriptor, deadline = _open(), time.monotonic() + _TIMEOUT_SECONDS
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while descriptor is not None and not _lock(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError("another installation or uninstallation is running; try again when it has ended")
            time.sleep(_INTERVAL_SECONDS)
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
        if descriptor is not None:
            os.close(descriptor)


def _open() -> int | None:
    """Open what is locked: the home folder itself, so that no file stays behind. Windows can only lock a file."""
    with suppress(OSError, RuntimeError):
        if sys.platform == "win32":
            return os.open(Path(tempfile.gettempdir(), "callers-mcp-install.lock"), os.O_RDWR | os.O_CREAT)
        return os.open(Path.home(), os.O_RDONLY)
    return None


def _lock(descriptor: int) -> bool:
    """Lock the file, and return whether no other process has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # of another kind if this system has no locks
        return not isinstance(error, BlockingIOError | PermissionError)
    return True
