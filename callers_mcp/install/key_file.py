"""The API key for one host: a file of its own, for its owner alone, that the host's entry points at."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from callers_mcp.install import files
from callers_mcp.install.entry import API_KEY_FILE
from callers_mcp.settings import is_key


def path(host: str) -> Path:
    """Return where the key for ``host`` is kept."""
    import platformdirs

    return platformdirs.user_config_path("callers-mcp", appauthor=False) / "keys" / f"{host}.key"


def of_entry(entry: Mapping[str, Any] | None, host: str) -> Path | None:
    """Return the key file of ours that an entry points at, wherever it was when that was made."""
    environment = (entry or {}).get("env")
    named = Path(str(environment.get(API_KEY_FILE) or "")) if isinstance(environment, dict) else Path()
    return named if named.is_absolute() and named.parts[-3:] == ("callers-mcp", "keys", f"{host}.key") else None


def read(file: Path) -> str | None:
    """Return the key that the file holds, None where there is none that could be one.

    Raises:
        OSError: The file can't be read.
    """
    key = (files.read(file) or b"").decode("utf-8", "replace").strip()
    return key if is_key(key) else None


def write(file: Path, key: str | None) -> None:
    """Put the key into the file, mode 600 in a folder of mode 700; or remove the file.

    Raises:
        OSError: It can't be written.
    """
    if key is None:
        file.unlink(missing_ok=True)
        with suppress(OSError):  # where other hosts' keys are, or a server's tokens
            file.parent.rmdir()
            file.parent.parent.rmdir()
        return
    files.write_privately(file, f"{key}\n".encode())
