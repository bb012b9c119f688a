"""The bundle for Claude Desktop, built once in a test process, and how its manifest starts the server.

Use it in a test that reads the bundle or runs the server in it.
"""

import io
import json
import re
import runpy
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAKER: dict[str, Any] = runpy.run_path(str(ROOT / ".ci/bundle.py"))
"""The functions of the script that builds the bundle."""

BUNDLE: bytes = MAKER["bundle"]()
FILES: dict[str, bytes] = MAKER["contents"]()
MANIFEST: dict[str, Any] = json.loads(FILES["manifest.json"])
LOCKED = set(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
"""The names and versions of the packages in the lock file."""


def unzipped(archive: bytes) -> dict[str, bytes]:
    """Return the files of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def filled_in(folder: Path, values: dict[str, str]) -> dict[str, Any]:
    """Return how to start the server, with the manifest's placeholders replaced by ``values``, if they have one."""

    def fill(text: str) -> str:
        known = {"__dirname": str(folder)} | {f"user_config.{name}": value for name, value in values.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], found[0]), text)

    config = MANIFEST["server"]["mcp_config"]
    return {
        "command": fill(config["command"]),
        "args": [fill(argument) for argument in config["args"]],
        "env": {name: fill(value) for name, value in config["env"].items()},
    }
