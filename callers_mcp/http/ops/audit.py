"""The audit: one JSON line for each look-up, which says who asked for what, where, and how it ended.

::

    {"time":"2026-03-01T09:30:00.123Z","caller":"token:ci","campaign":"665f1c2ab1e4a9d0c7f3b801",
     "sub_organization":"main","outcome":"found","milliseconds":87,"request_id":"4f0c..."}

Callers who shared a request share its id. A line goes out whole, in one write at the file's end, so that processes may
share the file.
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
_MAX_PENDING_LINES = 1_000  # while none can be written
_MAX_FIELD_BYTES = 700  # a line of five is less than what a pipe takes in one piece
_RECHECK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class AuditError(Exception):
    """The audit can't be written; the message is one line for the operator."""


class AuditLog:
    """Writes the audit; for one thread, that of the event loop, which it does not hold up.

    A line that can't be written is kept, and tried again before the next and with each look at ``problem``. A file that
    was moved away, to be rotated, is made anew within a second.

    Args:
        path: The file; ``None`` is stderr.
        mask: Hides the API key in a text.

    Raises:
        AuditError: The file can't be opened.
    """

    def __init__(self, path: Path | None, mask: Callable[[str], str]) -> None:
        self._path = path
        self._mask = mask
        self._pending: deque[bytes] = deque()
        self._lost = 0
        self._problem: str | None = None
        self._line_incomplete = False  # what was written last, so that the next line has to begin with a line's end
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
                f"{variable('audit_file')}: {_name(path)} can't be written to ({_reason(error)}); give a file in a "
                "folder that this server's user may write to, or none for stderr."
            ) from None

    def record(self, event: LookupEvent) -> None:
        """Write the line of a look-up that ended, or keep it."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        line = (
            f'{{"time":"{now}Z","caller":{self._text(event.principal)},"campaign":{self._text(event.campaign_id)},'
            f'"sub_organization":{self._text(event.organization)},"outcome":{self._text(event.outcome)},'
            f'"milliseconds":{event.seconds * 1000:.0f},"request_id":{self._text(event.request_id)}}}\n'
        )
        self._pending.append(line.encode("ascii"))
        self._write_pending()
        if len(self._pending) > _MAX_PENDING_LINES:
            self._pending.popleft()
            self._lost += 1

    @property
    def problem(self) -> str | None:
        """Why lines are kept back, in words for the operator; ``None`` where all are written."""
        if self._pending:
            self._write_pending()
        return self._problem

    def close(self) -> None:
        """Try what is kept once more, and close the file."""
        if self._pending:
            self._write_pending()
        if self._pending:
            logger.error("the audit lost %d lines: %s", self._lost + len(self._pending), self._problem)
            self._pending.clear()
        if self._path is not None and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _text(self, value: str) -> str:
        """Return ``value`` as a JSON string without a secret; of one that is too long the beginning, and a digest."""
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
            self._problem = f"{_name(self._path)} can't be written to ({_reason(error)})"
            if is_new:
                logger.error(
                    "the audit: %s; the last %d lines are kept until it can", self._problem, _MAX_PENDING_LINES
                )
        else:
            if self._problem is not None:
                logger.warning(
                    "the audit: %s can be written to again; %d lines are lost", _name(self._path), self._lost
                )
            self._problem, self._lost = None, 0

    def _write(self, line: bytes) -> None:
        """Write ``line`` whole, or leave what is to be followed by a line's end."""
        if self._line_incomplete:
            line = b"\n" + line
        # A reader who is there may take a moment; for one who was not, none is spent.
        if self._poll and not self._poll.poll(0 if self._problem else _WRITE_TIMEOUT_MS):
            self._line_incomplete = True  # a line of the log may have been
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        written = os.write(self._descriptor, line)
        self._line_incomplete = written < len(line)
        if self._line_incomplete:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _reopen_if_moved(self) -> None:
        """Open the file anew where it is no longer the one at its path; at most once a second, while all is well."""
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
        # Without O_NONBLOCK the open would wait for a pipe's reader, and each write for its room.
        for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
            flags |= getattr(os, name, 0)
        descriptor = os.open(path, flags, 0o600)
        self._line_incomplete = _has_incomplete_line(path)
        return descriptor


def _has_incomplete_line(path: Path) -> bool:
    """Tell whether a write, perhaps of another process, was cut short, as on a full disk."""
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
            return False  # it may be written to, but not read
        time.sleep(0.001)  # another process may be in the middle of its write
    return True


def _name(path: Path | None) -> str:
    return "stderr" if path is None else quote(str(path), 300)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENXIO, errno.EPIPE, errno.EAGAIN):
        return "nobody reads the pipe"
    return error.strerror or type(error).__name__
