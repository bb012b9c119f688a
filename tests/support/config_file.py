"""The content of a configuration before and after a change, and what is in its folder. Use it to test ``files``."""

from pathlib import Path

OLD, NEW = b'{"old": 1}', b'{"new": 2}'


def names(folder: Path) -> set[str]:
    """Return the names of what a folder contains."""
    return {path.name for path in folder.iterdir()}
