"""The entry that a host's configuration gets: how it starts this installation's server, and with which settings."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callers_mcp.install.registry import Host
from callers_mcp.settings import Settings, is_placeholder, variable

NAME = "callers"
"""What the server is called in a host."""

API_KEY, API_KEY_FILE = variable("api_key"), variable("api_key_file")

KEY_PLACEHOLDER = "<your Callers API key>"
"""What a snippet has where the key belongs; the server takes it for a placeholder, never for a key."""


def server_command() -> list[str]:
    """Return what starts this installation's server, by absolute path: hosts have no shell's PATH."""
    script = Path(sys.executable).with_name("callers-mcp.exe" if sys.platform == "win32" else "callers-mcp")
    return [str(script)] if script.exists() else [sys.executable, "-m", "callers_mcp"]


def is_ephemeral() -> bool:
    """Tell whether this installation is one that uvx or pipx run keeps for a while only."""
    folders = Path(sys.executable).parts
    return "archive-v0" in folders or {"pipx", ".cache"} <= {*folders}


def settings_to_copy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of ``environment`` that an installation takes along: all but the key."""
    fields = [variable(field) for field in Settings.model_fields]
    values = {name.upper(): value.strip() for name, value in environment.items()}
    return {
        name: values[name]
        for name in fields
        if values.get(name) and name not in (API_KEY, API_KEY_FILE) and not is_placeholder(values[name])
    }


def stdio_entry(host: Host, settings: Mapping[str, str], *, sandbox: bool = False) -> dict[str, Any]:
    """Return an entry for the server over stdio, with ``settings`` as its environment; none for the sandbox."""
    command, *arguments = server_command()
    if sandbox:
        return {**host.stdio, "command": command, "args": [*arguments, "--sandbox"]}
    return {**host.stdio, "command": command, "args": arguments, "env": dict(settings)}


def merge(current: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``entry`` with what somebody added to the one that is ``current``: further keys and variables.

    Of the settings it keeps those that ``entry`` doesn't give, but never a key, which belongs into its file.
    """
    if current is None:
        return dict(entry)
    environment = current.get("env")
    current_env = environment if isinstance(environment, dict) else {}
    variables = {key: value for key, value in current_env.items() if key not in (API_KEY, API_KEY_FILE)}
    # An empty one stays too: a host may write it of itself.
    merged_env = {"env": {**variables, **entry.get("env", {})}} if "env" in current or "env" in entry else {}
    return {**current, **entry, **merged_env}


def redact(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``entry`` for people to look at: what is none of our settings, or the key, may be a secret."""
    redacted = dict(entry)
    for name, value in entry.items():
        if name == "env" and isinstance(value, dict):
            known = {variable(field) for field in Settings.model_fields} - {API_KEY}
            redacted[name] = {each: text if each in known else "..." for each, text in value.items()}
        elif name not in ("command", "args", "type"):
            redacted[name] = "..."
    return redacted


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry starts this server, of whichever installation."""
    arguments = entry.get("args")
    words = [entry.get("command"), *(arguments if isinstance(arguments, list) else [])]
    # By both separators, whatever system reads it.
    stems = {str(word).replace("\\", "/").rpartition("/")[2].removesuffix(".exe") for word in words}
    return bool(stems & {"callers-mcp", "callers_mcp"})
