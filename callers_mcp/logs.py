"""Logs: to stderr alone, and never with the key in them."""

import logging
import sys

from callers_mcp.api.errors import NotConfigured
from callers_mcp.api.json import MASK
from callers_mcp.api.key import KeySource
from callers_mcp.settings import Settings


def configure(settings: Settings, *, quiet: bool = False) -> None:
    """Send our records from ``CALLERS_LOG_LEVEL`` up to stderr, and warnings of the libraries.

    The libraries stay at WARNING even where ours are at DEBUG: their lines hold headers. ``quiet`` is for commands that
    print their result themselves: what is below WARNING is shown only where the operator asks for DEBUG.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_MaskingFormatter(settings))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    level = "WARNING" if quiet and settings.log_level == "INFO" else settings.log_level
    logging.getLogger("callers_mcp").setLevel(level)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # says of each retry what our own line says
    for notice in () if quiet else settings.notices:
        logging.getLogger(__name__).warning(notice)


class _MaskingFormatter(logging.Formatter):
    """The last line of defence: whatever a record or a stack trace holds, the key is masked."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._keys = KeySource(settings)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        try:
            return text.replace(self._keys.current(), MASK)
        except NotConfigured:
            return text
