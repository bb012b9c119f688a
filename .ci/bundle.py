#!/usr/bin/env python3
"""Build the bundle for Claude Desktop, and write its version, URL and hash into server.json.

The bytes of the bundle depend only on the project's files: not on the time, the path, the umask or git. The manifest
follows https://github.com/modelcontextprotocol/mcpb/blob/main/MANIFEST.md, version 0.4.
"""

import hashlib
import io
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for the imports below: this checkout, even if another version is installed

import callers_mcp  # noqa: E402 - after the path is set
from callers_mcp.server.tools import load_tools  # noqa: E402 - the same
from callers_mcp.settings import Settings, variable  # noqa: E402 - the same

NAME = "callers-mcp.mcpb"
HOME = "https://github.com/callers-mcp/callers-mcp"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

ENTRY_POINT = "server.py"
"""It is beside the package, because Python searches the folder of the script first for imports."""

START = '''"""The script with which the host starts the server."""

from callers_mcp.cli import main

if __name__ == "__main__":
    main()
'''

USER_CONFIG = {
    "api_key": ("API key", None),
    "organization_id": (
        "Organization id",
        "The main organization's id. With it, campaigns can be found by name; leave it blank to look them up by id.",
    ),
    "sub_organization_id": ("Sub-organization", None),
    "base_url": ("Address of the API", None),
}
"""The settings that the host asks the user for: title and description; None uses the description in ``Settings``."""


def manifest() -> dict[str, Any]:
    """Return the content of ``manifest.json``, which the host reads."""
    return {
        "manifest_version": "0.4",
        "name": PROJECT["name"],
        "display_name": "Callers campaigns",
        "version": callers_mcp.__version__,
        "description": "Look up calling campaigns at Callers (callers.ai): a summary and the raw JSON.",
        "long_description": (
            "Ask about a calling campaign at [Callers](https://callers.ai): whether it is running, what needs "
            "attention, when and from which numbers it calls. It only reads: nothing can be changed through it.\n\n"
            "It needs your organization's API key. Campaigns can be found by name once the organization's id or a "
            "sub-organization is set."
        ),
        "author": {"name": "The callers-mcp authors", "url": HOME},
        "repository": {"type": "git", "url": HOME},
        "homepage": HOME,
        "documentation": f"{HOME}#readme",
        "support": f"{HOME}/issues",
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": ENTRY_POINT,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", ENTRY_POINT],
                "env": {variable(field): f"${{user_config.{field}}}" for field in USER_CONFIG},
            },
        },
        "tools": [{"name": tool.name, "description": tool.description} for tool in load_tools(with_lists=True)],
        "tools_generated": False,
        "prompts_generated": True,
        "keywords": PROJECT["keywords"],
        "license": PROJECT["license"],
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": PROJECT["requires-python"]},
        },
        "user_config": {
            field: _user_setting(field, title, description) for field, (title, description) in USER_CONFIG.items()
        },
    }


def _user_setting(field: str, title: str, description: str | None) -> dict[str, Any]:
    info = Settings.model_fields[field]
    if description is None:
        usual = str(info.description)
        description = f"{usual[0].upper()}{usual[1:]}."
    setting = {"type": "string", "title": title, "description": description}
    if field == "api_key":
        return setting | {"sensitive": True, "required": True}
    # A default, even a blank one, makes the host replace the placeholder of a setting that was not filled in.
    return setting | {"required": False, "default": info.default or ""}


def requirements() -> str:
    """Return the bundle's ``pyproject.toml``: the project's requirements, with the versions in its lock file.

    The lock file also has the packages for tests. A constraint on a package that nothing requires has no effect.
    """
    locked = re.findall(r"^[\w.-]+==[^\\\n]*[^\\\s]", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    return f"""\
[project]
name = {json.dumps(PROJECT["name"])}
version = {json.dumps(callers_mcp.__version__)}
requires-python = {json.dumps(PROJECT["requires-python"])}
dependencies = {json.dumps(PROJECT["dependencies"], indent=4)}

[tool.uv]
package = false  # there is nothing to build
# The versions with which the tests ran.
constraint-dependencies = {json.dumps(locked, indent=4)}
"""


def contents() -> dict[str, bytes]:
    """Return the bundle's files by name."""
    files = {name: (ROOT / name).read_bytes() for name in ("LICENSE", *_sources())}
    generated = {
        "manifest.json": json.dumps(manifest(), ensure_ascii=False, indent=2) + "\n",
        "pyproject.toml": requirements(),
        ENTRY_POINT: START,
    }
    icon = {"icon.png": (ROOT / "docs/icon.png").read_bytes()}
    return files | icon | {name: text.encode() for name, text in generated.items()}


def _sources() -> list[str]:
    """Return the package's files: only those that git tracks, so that no local file is published."""
    package = callers_mcp.__name__
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", package]
        listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)  # noqa: S603 - fixed words
        return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    return [  # an unpacked release has no other files
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]


def bundle() -> bytes:
    """Return the bundle: a zip of its files, with the same bytes on every machine."""
    archive = io.BytesIO()
    # Stored, not compressed: the output of deflate depends on the version of zlib.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for name, data in sorted(contents().items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # a Unix file with mode 644
            zipped.writestr(entry, data)
    return archive.getvalue()


def registry_entry(sha256: str) -> str:
    """Return the text of ``server.json``, with this version and the URL and hash of its bundle.

    Args:
        sha256: The bundle's hash, in hexadecimal.
    """
    version = callers_mcp.__version__
    entry = json.loads((ROOT / "server.json").read_text("utf-8"))
    entry["version"] = version
    entry["icons"][0]["src"] = f"https://raw.githubusercontent.com/callers-mcp/callers-mcp/v{version}/docs/icon.png"
    packages = {package["registryType"]: package for package in entry["packages"]}
    packages["pypi"]["version"] = version
    packages["mcpb"] |= {"identifier": f"{HOME}/releases/download/v{version}/{NAME}", "fileSha256": sha256}
    return json.dumps(entry, ensure_ascii=False, indent=2) + "\n"


def main(folder: Path = ROOT / "dist") -> None:
    """Write the bundle to ``folder``, and update ``server.json``."""
    data = bundle()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes(data)
    (ROOT / "server.json").write_text(registry_entry(hashlib.sha256(data).hexdigest()), "utf-8", newline="\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
