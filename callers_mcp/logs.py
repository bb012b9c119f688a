"""Logging to stderr, without the key, and without blocking the server."""

import errno
import logging
import os
import select
from contextlib import suppress

from callers_mcp.api.key import KeySource
from callers_mcp.settings import Settings


def configure(settings: Settings, *, command: bool = False) -> None:
    """Log the records of callers-mcp from ``CALLERS_LOG_LEVEL`` up to stderr, and the warnings of libraries.

    Libraries stay at WARNING, even at ``CALLERS_LOG_LEVEL=DEBUG``, because their lines contain headers.

    Args:
        settings: The level, the key to mask, and the notices, which are logged here.
        command: Set it for a command that prints its result and the notices: at INFO, it logs only from WARNING up.
    """
    handler = _StderrHandler()
    handler.setFormatter(_MaskingFormatter(settings))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    level = "WARNING" if command and settings.log_level == "INFO" else settings.log_level
    logging.getLogger("callers_mcp").setLevel(level)
    for notice in () if command else settings.notices:
        logging.getLogger(__name__).warning(notice)


_WRITE_TIMEOUT_MS = 10
_CHUNK_BYTES = getattr(select, "PIPE_BUF", 4096)  # a pipe with room takes this many bytes without blocking


class _Stderr:
    """Writes lines to stderr without blocking: a host that never reads it must not stop the server."""

    def __init__(self) -> None:
        self._line_incomplete = False  # of the last write; the next one starts a new line
        self._poll = None
        if hasattr(select, "poll"):  # not on Windows
            self._poll = select.poll()
            self._poll.register(2, select.POLLOUT)

    def write(self, line: bytes) -> None:
        """Write all of ``line``.

        Raises:
            OSError: There is no stderr, or it is not read; nothing or only a part was written.
        """
        timeout = _WRITE_TIMEOUT_MS
        if self._line_incomplete:
            line, timeout = b"\n" + line, 0  # do not wait again for a reader that did not read
        self._line_incomplete = True
        for start in range(0, len(line), _CHUNK_BYTES):
            chunk = line[start : start + _CHUNK_BYTES]
            if (self._poll and not self._poll.poll(timeout)) or os.write(2, chunk) < len(chunk):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._line_incomplete = False


stderr = _Stderr()
"""The stderr of this process, for all that writes to it."""


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # there is no stderr to report it to
            stderr.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))


class _MaskingFormatter(logging.Formatter):
    """Masks the key and cleans each line, as the last protection: a message is one line, and a stack trace is indented.

    So no text from a client or from the API can look like another record.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._keys = KeySource(settings)

    def format(self, record: logging.LogRecord) -> str:
        record.message, record.asctime = record.getMessage(), self.formatTime(record)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += [f"  {line}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(map(self._keys.mask, lines))
