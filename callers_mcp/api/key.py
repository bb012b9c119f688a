"""The organization's API key: the setting or the file that it comes from."""

from pathlib import Path

from callers_mcp import files
from callers_mcp.api.errors import Advice, NotConfigured
from callers_mcp.api.key_mask import mask
from callers_mcp.settings import Settings, decode_key, is_key, is_placeholder, variable

_MAX_KEY_FILE_BYTES = 65_536  # a longer file is not a key file


class KeySource:
    """Returns the current key: the configured one, or the key file's, which is read again when the file changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = settings.api_key.get_secret_value() if settings.api_key else None
        self._file = settings.api_key_file
        self._file_version: tuple[int, ...] | None = None

    @property
    def variable(self) -> str:
        """The environment variable that the key comes from."""
        return variable("api_key_file" if self._file else "api_key")

    def current(self) -> str:
        """Return the key.

        Raises:
            NotConfigured: There is no key, a host left a placeholder, or the file can't be read or contains no key.
        """
        require_no_placeholder(self._settings, "api_key", "api_key_file")
        if self._file:
            self._key = self._read(self._file)
        if self._key is None:
            raise NotConfigured(
                "No API key is configured.",
                Advice(
                    f"The operator sets {self.variable} (or {variable('api_key_file')}) in this server's environment "
                    "and starts it again.",
                    f"Set {self.variable} or {variable('api_key_file')}.",
                ),
            )
        return self._key

    def mask(self, text: str) -> str:
        """Return ``text`` cleaned and with the key masked. Use it for text from callers and from the API."""
        try:
            return mask(text, self.current())
        except NotConfigured:
            return mask(text, "")

    def _read(self, file: Path) -> str | None:
        try:
            if self._file_version is not None and files.version(file.stat()) == self._file_version:
                return self._key
            content, status = files.read_with_status(file, _MAX_KEY_FILE_BYTES)
        except OSError as error:
            raise NotConfigured(
                f"The file that {self.variable} names can't be read ({error.strerror}).",
                Advice(
                    "The operator fixes the path or the file's permissions.",
                    "Fix the path or the file's permissions.",
                ),
            ) from None
        key = decode_key(content)
        if not is_key(key) or is_placeholder(key):
            raise NotConfigured(
                f"The file that {self.variable} names does not contain a usable key.",
                Advice("The operator puts the API key into it, as one line.", "Put the API key into it, as one line."),
            )
        self._file_version = files.version(status)
        return key


def require_no_placeholder(settings: Settings, *fields: str) -> None:
    """Raise an error if a host left a placeholder in one of the settings ``fields``.

    Raises:
        NotConfigured: A host left a placeholder; the message names the variables.
    """
    unresolved = settings.unresolved
    if unresolved and (names := [variable(field) for field in fields if variable(field) in unresolved]):
        raise NotConfigured(
            f"{' and '.join(names)}: the host left a placeholder there instead of a value.",
            Advice("The operator sets or removes it, and starts this server again.", "Set or remove it."),
        )
