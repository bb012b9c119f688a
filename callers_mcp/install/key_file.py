"""The file with the API key for one host. Only its owner can read it; the host's entry names it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from callers_mcp import files
from callers_mcp.install.entry import API_KEY_FILE
from callers_mcp.settings import decode_key, is_key


def path(host: str) -> Path:
    """Return the path of the key file for ``host``."""
    import platformdirs

    return platformdirs.user_config_path("callers-mcp", appauthor=False) / "keys" / f"{host}.key"


def path_in_entry(entry: Mapping[str, Any] | None, host: str) -> Path | None:
    """Return the key file that an entry names, if ``install`` created it, also in another configuration folder."""
    environment = (entry or {}).get("env")
    file = Path(str(environment.get(API_KEY_FILE) or "")) if isinstance(environment, dict) else Path()
    return file if file.is_absolute() and file.parts[-3:] == ("callers-mcp", "keys", f"{host}.key") else None


def read(file: Path) -> str | None:
    """Return the key in the file, or None if it has no valid key.

    Raises:
        OSError: The file can't be read.
    """
    key = decode_key(files.read(file) or b"")
    return key if is_key(key) else None


def write(file: Path, key: str | None) -> None:
    """Write the key to the file, with mode 600 in a folder with mode 700; or remove the file if ``key`` is None.

    Raises:
        OSError: It can't be written.
    """
    if key is None:
        files.remove_leftovers(file)
        file.unlink(missing_ok=True)  # of a link that the user made, only the link
        with suppress(OSError):  # the folder may have other hosts' keys, or a server's tokens
            file.parent.rmdir()
            file.parent.parent.rmdir()
        return
    files.make_folder(file.parent)
    file.parent.chmod(0o700)
    files.write(file, f"{key}\n".encode(), private=True)
