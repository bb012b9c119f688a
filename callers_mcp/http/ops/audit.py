"""The audit log: one JSON line per look-up with the caller, the campaign, the organization and the outcome.

::

    {"time":"2026-03-01T09:30:00.123Z","caller":"token:ci","campaign":"665f1c2ab1e4a9d0c7f3b801",
     "sub_organization":"main","outcome":"found","milliseconds":87,"request_id":"4f0c..."}

Callers who share a request share its id. Each line is appended with one write, so several processes can use the same
file.
"""

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from callers_mcp.api.events import LookupEvent, Observer
from callers_mcp.http.auth.token_store import TOKEN_PATTERN
from callers_mcp.http.settings import variable
from callers_mcp.logs import stderr
from callers_mcp.sanitize import quote
from callers_mcp.settings import SettingsError

_MAX_FIELD_BYTES = 700  # five fields fit into one atomic write to a pipe

logger = logging.getLogger(__name__)


class AuditLog(Observer):
    """Writes the audit log without blocking the event loop. Not thread-safe.

    A line that can't be written is tried again before the next line and at each read of ``problem``. Until that
    succeeds, other lines are lost, and counted in the log. If the file is moved away, such as by log rotation, a new
    one is created.

    Args:
        path: The file; ``None`` means stderr.
        mask: Masks the API key in a text.

    Raises:
        SettingsError: The file can't be opened.
    """

    def __init__(self, path: Path | None, mask: Callable[[str], str]) -> None:
        self._name = "stderr" if path is None else quote(str(path), 300)
        self._mask = mask
        self._unwritten = b""
        self._lost = 0
        self._problem: str | None = None
        try:
            self._file = _AuditFile(path) if path else None
            if path is None:
                os.fstat(2)
        except OSError as error:
            raise SettingsError(
                f"{variable('audit_file')}: {self._name} can't be written to ({_reason(error)}); use a file in a "
                "folder that this server's user may write to, or unset the variable to use stderr."
            ) from None

    def on_lookup_finished(self, event: LookupEvent) -> None:
        """Write the line of a finished look-up."""
        if self.problem:
            self._lost += 1
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "caller": self._shorten(event.principal),
            "campaign": self._shorten(event.campaign_id),
            "sub_organization": self._shorten(event.organization),
            "outcome": self._shorten(event.outcome),
            "milliseconds": round(event.seconds * 1000),
            "request_id": self._shorten(event.request_id),
        }
        self._unwritten = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        self._write()

    @property
    def problem(self) -> str | None:
        """Why lines can't be written, in words for the operator; ``None`` if all lines are written."""
        if self._problem:
            self._write()
        return self._problem

    def close(self) -> None:
        """Try once more to write the last line, and close the file."""
        if self.problem:
            logger.error("the audit log lost %d lines: %s", self._lost + 1, self._problem)
        if self._file:
            self._file.close()

    def _shorten(self, value: str) -> str:
        """Return ``value`` without secrets; shorten a long one to its beginning and a digest."""
        text = TOKEN_PATTERN.sub("[token]", self._mask(value))
        if len(json.dumps(text)) <= _MAX_FIELD_BYTES:
            return text
        return f"{text[:48]}... sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"

    def _write(self) -> None:
        try:
            (self._file or stderr).write(self._unwritten)
        except OSError as error:
            is_new = not self._problem
            self._problem = f"{self._name} can't be written to ({_reason(error)})"
            if is_new:
                logger.error("the audit log: %s; lines are lost until that works", self._problem)
        else:
            if self._problem:
                logger.warning("the audit log: %s can be written to again; %d lines were lost", self._name, self._lost)
            self._problem, self._lost = None, 0


class _AuditFile(WatchedFileHandler):
    """A file or pipe; only its opening and reopening are those of a log handler."""

    _check_last_line = True

    def write(self, line: bytes) -> None:
        """Write all of ``line``.

        Raises:
            OSError: Nothing or only a part was written.
        """
        self.reopenIfNeeded()
        if self.stream is None:  # reopening failed, now or before
            self.stream = self._open()
            self._statstream()
        if self._check_last_line and _is_cut_short(Path(self.baseFilename)):
            line = b"\n" + line
        self._check_last_line = True
        if os.write(self.stream.fileno(), line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._check_last_line = False

    def _open(self) -> Any:
        self._check_last_line = True
        return open(self.baseFilename, "ab", buffering=0, opener=_open_nonblocking)


def _open_nonblocking(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe would wait for its reader, and each write for free space.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0), 0o600)


def _is_cut_short(path: Path) -> bool:
    """Return whether the last write to a file, perhaps by another process, was cut short, as on a full disk."""
    with suppress(OSError):  # it may be writable but not readable
        for _ in range(2):
            if not path.is_file():
                return False
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 1))
                if file.read(1) in (b"", b"\n"):
                    return False
            time.sleep(0.001)  # another process may be in the middle of its write
        return True
    return False


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENXIO, errno.EPIPE, errno.EAGAIN):
        return "no process reads the pipe"
    return error.strerror or type(error).__name__
