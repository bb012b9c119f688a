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
import select
import stat
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from callers_mcp.api.events import LookupEvent
from callers_mcp.http.auth.token_store import TOKEN_PATTERN
from callers_mcp.http.settings import variable
from callers_mcp.sanitize import quote

_STDERR = 2
_WRITE_TIMEOUT_MS = 10
_MAX_PENDING_LINES = 1_000  # kept while they can't be written
_MAX_FIELD_BYTES = 700  # five fields fit into one atomic write to a pipe
_RECHECK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class AuditError(Exception):
    """The audit log can't be written; the message is one line for the operator."""


class AuditLog:
    """Writes the audit log without blocking the event loop. Not thread-safe.

    A line that can't be written is kept. It is tried again before the next line and at each read of ``problem``. If the
    file is moved away, such as by log rotation, a new one is created within a second.

    Args:
        path: The file; ``None`` means stderr.
        mask: Masks the API key in a text.

    Raises:
        AuditError: The file can't be opened.
    """

    def __init__(self, path: Path | None, mask: Callable[[str], str]) -> None:
        self._path = path
        self._mask = mask
        self._pending: deque[bytes] = deque()
        self._lost = 0
        self._problem: str | None = None
        self._line_incomplete = False  # the last write was cut short, so the next line starts with a line feed
        self._poll = None
        self._recheck_at = time.monotonic() + _RECHECK_SECONDS
        try:
            if path is None:
                os.fstat(_STDERR)
                self._descriptor = _STDERR
                if hasattr(select, "poll"):  # not on Windows
                    self._poll = select.poll()
                    self._poll.register(_STDERR, select.POLLOUT)
            else:
                self._descriptor = self._open(path)
        except OSError as error:
            raise AuditError(
                f"{variable('audit_file')}: {_display_name(path)} can't be written to ({_reason(error)}); use a file "
                "in a folder that this server's user may write to, or unset the variable to use stderr."
            ) from None

    def record(self, event: LookupEvent) -> None:
        """Write the line of a finished look-up; keep it if it can't be written now."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        line = (
            f'{{"time":"{now}Z","caller":{self._json_text(event.principal)},"campaign":{self._json_text(event.campaign_id)},'
            f'"sub_organization":{self._json_text(event.organization)},"outcome":{self._json_text(event.outcome)},'
            f'"milliseconds":{event.seconds * 1000:.0f},"request_id":{self._json_text(event.request_id)}}}\n'
        )
        self._pending.append(line.encode("ascii"))
        self._write_pending()
        if len(self._pending) > _MAX_PENDING_LINES:
            self._pending.popleft()
            self._lost += 1

    @property
    def problem(self) -> str | None:
        """Why lines can't be written, in words for the operator; ``None`` if all lines are written."""
        if self._pending:
            self._write_pending()
        return self._problem

    def close(self) -> None:
        """Try once more to write the pending lines, and close the file."""
        if self._pending:
            self._write_pending()
        if self._pending:
            logger.error("the audit log lost %d lines: %s", self._lost + len(self._pending), self._problem)
            self._pending.clear()
        if self._path is not None and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _json_text(self, value: str) -> str:
        """Return ``value`` as a JSON string without secrets; shorten a long one to its beginning and a digest."""
        text = TOKEN_PATTERN.sub("[token]", self._mask(value))
        encoded = json.dumps(text)
        if len(encoded) <= _MAX_FIELD_BYTES:
            return encoded
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        return json.dumps(f"{text[:48]}... sha256:{digest}")

    def _write_pending(self) -> None:
        try:
            self._reopen_if_moved()
            while self._pending:
                self._write(self._pending[0])
                self._pending.popleft()
        except OSError as error:
            is_new = self._problem is None
            self._problem = f"{_display_name(self._path)} can't be written to ({_reason(error)})"
            if is_new:
                logger.error(
                    "the audit log: %s; the last %d lines are kept until that works", self._problem, _MAX_PENDING_LINES
                )
        else:
            if self._problem is not None:
                logger.warning(
                    "the audit log: %s can be written to again; %d lines were lost",
                    _display_name(self._path),
                    self._lost,
                )
            self._problem, self._lost = None, 0

    def _write(self, line: bytes) -> None:
        """Write all of ``line``, or raise ``OSError`` and note whether it is incomplete."""
        if self._line_incomplete:
            line = b"\n" + line
        # Give a slow reader a moment; do not wait for a reader who was absent before.
        if self._poll and not self._poll.poll(0 if self._problem else _WRITE_TIMEOUT_MS):
            self._line_incomplete = True  # a log record on stderr may be cut short
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        written = os.write(self._descriptor, line)
        self._line_incomplete = written < len(line)
        if self._line_incomplete:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _reopen_if_moved(self) -> None:
        """Open the path again if its file was moved; without a problem, check at most once a second."""
        if self._path is None or (self._problem is None and time.monotonic() < self._recheck_at):
            return
        self._recheck_at = time.monotonic() + _RECHECK_SECONDS
        with suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), os.fstat(self._descriptor)):
                self._line_incomplete = _has_incomplete_line(self._path)
                return
        descriptor = self._open(self._path)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _open(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        # Without O_NONBLOCK, opening a pipe would wait for its reader, and each write for free space.
        for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
            flags |= getattr(os, name, 0)
        descriptor = os.open(path, flags, 0o600)
        self._line_incomplete = _has_incomplete_line(path)
        return descriptor


def _has_incomplete_line(path: Path) -> bool:
    """Return whether the last write, perhaps by another process, was cut short, as on a full disk."""
    for _ in range(2):
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return False
            with path.open("rb") as file:
                if not file.seek(0, os.SEEK_END):
                    return False
                file.seek(-1, os.SEEK_END)
                if file.read(1) == b"\n":
                    return False
        except OSError:
            return False  # the file may be writable but not readable
        time.sleep(0.001)  # another process may be in the middle of its write
    return True


def _display_name(path: Path | None) -> str:
    return "stderr" if path is None else quote(str(path), 300)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENXIO, errno.EPIPE, errno.EAGAIN):
        return "no process reads the pipe"
    return error.strerror or type(error).__name__
