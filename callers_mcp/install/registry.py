"""The registry of hosts: the path of each configuration, and how it describes a server.

The rows are in ``hosts.toml``. A new host is a new row.
"""

import errno
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from callers_mcp.install.documents import Format

_FOLDER_VARIABLE = re.compile(r"\{(\w+)\|(.*?)\}")


@dataclass(frozen=True)
class Platform:
    """The system on which a host runs: its name, the environment variables and the user's home folder."""

    name: str = sys.platform
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    home: Path = field(default_factory=lambda: _home())

    def path(self, template: str) -> Path:
        """Return the path for a template of ``hosts.toml``; a variable counts if it holds an absolute path."""
        if match := _FOLDER_VARIABLE.match(template):
            folder = Path(self.environment.get(match[1]) or ".")
            folder = folder if folder.is_absolute() else self.home / match[2]
            return folder / template[match.end() :].lstrip("/")
        return self.home / template.removeprefix("~").lstrip("/")


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise OSError(errno.ENOENT, "this user has no home folder; set HOME", "~") from None


@dataclass(frozen=True)
class Host:
    """A host, as its documentation describes it. The comment at the top of ``hosts.toml`` explains each field."""

    title: str
    source: str
    read: date
    files: Sequence[str]
    next_step: str = ""
    folder: str | Mapping[str, str] = "~"
    version: str = ""
    aliases: Sequence[str] = ()
    file_variable: str = ""
    container: Sequence[str] = ("mcpServers",)
    nested: str = ""
    format: Format = "json"
    stdio: Mapping[str, Any] = field(default_factory=dict)
    remote: Mapping[str, Any] = field(default_factory=dict)
    url: str = "url"
    token: Mapping[str, Any] = field(default_factory=lambda: {"headers": {"Authorization": "Bearer <token>"}})
    connector: bool = False
    array: bool = False
    command_key: str = "command"
    env_key: str = "env"
    command: str = ""
    by_hand: str = ""
    must_exist: bool = False
    before: str = ""
    systems: Sequence[str] = ()
    form: str = ""
    others: str = ""
    others_note: str = ""
    bundle: str = ""

    def host_folder(self, platform: Platform) -> Path:
        """Return the folder that the host has on a machine where it is installed."""
        if isinstance(self.folder, str):
            return platform.path(self.folder)
        folder = platform.path(self.folder.get(platform.name, self.folder["other"]))
        if platform.name == "win32" and "packages" in self.folder:
            for package in sorted(platform.path(self.folder["packages"]).glob(self.folder["package"])):
                return package / folder.name
        return folder

    def config(self, platform: Platform) -> Path:
        """Return the path of the configuration: the first of its files that exists, otherwise the first."""
        moved = Path(platform.environment.get(self.file_variable) or ".")
        if moved.is_absolute():
            return moved
        paths = [self.host_folder(platform) / file for file in self.files]
        return next((path for path in paths if path.exists()), paths[0])

    def notes(self, platform: Platform) -> Iterator[str]:
        """Yield what the user must know about other configurations of the host on this machine."""
        if self.others and any(self.host_folder(platform).glob(self.others)):
            yield self.others_note
        if self.has_bundle(platform):
            yield f"{self.title} has this server as an extension too: Settings > Extensions. Remove one of the two."

    def has_bundle(self, platform: Platform) -> bool:
        """Return whether the host has this server as a bundle, which it keeps itself, outside its configuration."""
        return bool(self.bundle) and any(self.host_folder(platform).glob(self.bundle))

    def is_found(self, platform: Platform) -> bool:
        """Return whether the host seems to be on this machine: its folder, its configuration or its program."""
        folder = self.host_folder(platform)
        is_program_found = bool(self.command and shutil.which(self.command))
        return self.config(platform).exists() or (folder != platform.home and folder.is_dir()) or is_program_found


_ROWS = tomllib.loads((resources.files("callers_mcp.install") / "hosts.toml").read_text("utf-8"))
HOSTS: Mapping[str, Host] = {name: Host(**fields) for name, fields in _ROWS.items()}

ANY_HOST = Host(
    "the host", "https://modelcontextprotocol.io/docs/develop/connect-local-servers", date(2026, 11, 30), ()
)
"""A host that is not in the registry, with the form of entry that most hosts share."""
