"""The registry of hosts: the path of each configuration, and how it describes a server. A new host is a new row."""

import errno
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from callers_mcp.install.documents import Format


@dataclass(frozen=True)
class Platform:
    """The system on which a host runs: its name, the environment variables and the user's home folder."""

    name: str = sys.platform
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    home: Path = field(default_factory=lambda: _home())

    def folder(self, variable: str, *default: str) -> Path:
        """Return the folder that a variable names by an absolute path; otherwise the default in the home folder."""
        folder = Path(self.environment.get(variable) or ".")
        return folder if folder.is_absolute() else self.home.joinpath(*default)

    @property
    def application_data(self) -> Path:
        """The folder in which desktop applications store their configuration."""
        if self.name == "darwin":
            return self.home / "Library" / "Application Support"
        if self.name == "win32":
            return self.folder("APPDATA", "AppData", "Roaming")
        return self.folder("XDG_CONFIG_HOME", ".config")


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise OSError(errno.ENOENT, "this user has no home folder; set HOME", "~") from None


@dataclass(frozen=True)
class Host:
    """A host, as its documentation describes it.

    Attributes:
        title: The name that people use.
        source: The URL of the documentation page that states everything in this row.
        config: Returns the path of the configuration.
        next_step: What the user does after the installation.
        container: The keys that lead to the entries of servers.
        format: The format of the configuration.
        stdio: Fields of an entry over stdio, in addition to the command.
        remote: Fields of an entry for a URL, in addition to the URL; None if the configuration takes no URL.
        url: The key of the URL in an entry.
        authorization: What the user adds to an entry for a server that requires a token.
        command: The host's own program, if only that may write the configuration.
    """

    title: str
    source: str
    config: Callable[[Platform], Path]
    next_step: str
    container: tuple[str, ...] = ("mcpServers",)
    format: Format = Format.JSON
    stdio: Mapping[str, str] = field(default_factory=dict)
    remote: Mapping[str, str] | None = field(default_factory=dict)
    url: str = "url"
    authorization: str = '"headers": {"Authorization": "Bearer <token>"}'
    command: str | None = None


def _claude_desktop(platform: Platform) -> Path:
    name = "claude_desktop_config.json"
    if platform.name == "win32":
        # Since 2026 it is an MSIX package, which sees its own folder instead of the usual one:
        # https://github.com/anthropics/claude-code/issues/26073
        packages = platform.folder("LOCALAPPDATA", "AppData", "Local") / "Packages"
        for package in sorted(packages.glob("Claude_*/LocalCache/Roaming")):
            return package / "Claude" / name
    return platform.application_data / "Claude" / name


HOSTS: Mapping[str, Host] = {
    "claude-desktop": Host(
        title="Claude Desktop",
        source="https://modelcontextprotocol.io/docs/develop/connect-local-servers",
        config=_claude_desktop,
        remote=None,
        next_step="Quit Claude Desktop and start it again.",
    ),
    "claude-code": Host(
        title="Claude Code",
        source="https://code.claude.com/docs/en/mcp",
        config=lambda platform: platform.folder("CLAUDE_CONFIG_DIR") / ".claude.json",
        command="claude",
        stdio={"type": "stdio"},
        remote={"type": "http"},
        authorization='--header "Authorization: Bearer <token>"',
        next_step="Start a new session of Claude Code; /mcp lists it.",
    ),
    "cursor": Host(
        title="Cursor",
        source="https://cursor.com/docs/mcp",
        config=lambda platform: platform.home / ".cursor" / "mcp.json",
        next_step="Restart Cursor; its settings list it under MCP.",
    ),
    "vscode": Host(
        title="VS Code",
        source="https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
        config=lambda platform: platform.application_data / "Code" / "User" / "mcp.json",
        container=("servers",),
        stdio={"type": "stdio"},
        remote={"type": "http"},
        next_step='In VS Code run "MCP: List Servers" and start it.',
    ),
    "codex": Host(
        title="Codex",
        source="https://developers.openai.com/codex/mcp",
        config=lambda platform: platform.folder("CODEX_HOME", ".codex") / "config.toml",
        container=("mcp_servers",),
        format=Format.TOML,
        authorization='bearer_token_env_var = "CALLERS_TOKEN"',
        next_step="Start a new session of Codex; /mcp lists it.",
    ),
    "gemini-cli": Host(
        title="Gemini CLI",
        source="https://geminicli.com/docs/tools/mcp-server",
        config=lambda platform: platform.folder("GEMINI_CLI_HOME") / ".gemini" / "settings.json",
        url="httpUrl",
        next_step="Start a new session of Gemini CLI; /mcp lists it.",
    ),
}
