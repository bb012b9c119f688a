"""The entry for a host's configuration: the command that starts this server, and its settings."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callers_mcp.install.registry import Host
from callers_mcp.settings import Settings, is_placeholder, variable

NAME = "callers"
"""The name of the server in a host."""

API_KEY, API_KEY_FILE = variable("api_key"), variable("api_key_file")

KEY_PLACEHOLDER = "<your Callers API key>"
"""The text in a snippet that the user replaces with the key. The server never uses it as a key."""

KEY_FILE_PLACEHOLDER = "<path of a file with your Callers API key>"
"""The same in a command line, whose arguments other users can see, so that it must not have the key itself."""

HIDDEN = "..."
"""What is displayed instead of a value that may be a secret."""

_NETWORK_VARIABLES = ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables of the environment that hosts don't pass on, also in lower case: the server needs them for its requests."""

_UV_CACHE_FOLDER = re.compile(r"(archive|builds|environments)-v\d+")
_PLAIN_ARGUMENT = re.compile(r"-[\w-]*|[\d.]+|callers[-_.]mcp(\[[\w,]*\])?[\w.,=<>~!@*]*")

_PACKAGE = r"callers[-_.]mcp (?:\[[\w,.-]*\])? (?: @[\w.]+ | [=<>~!][=<>~!\w.,*]* )?"
# The words of a command, each with a NUL after it. Of the options before the package, only these are known.
_OUR_COMMAND = re.compile(
    rf"""
    (?: [^\0]*[/\\] )?
    (?: callers-mcp (?:\.exe)? \0
    |   (?: pythonw? | pypy | py ) [\d.]* (?:\.exe)? \0
        (?: -[WX]\0[^\0]*\0 | -[^\0cm]*\0 )*  -[^\0cm]*m\0  callers_mcp \0
    |   (?: uvx (?:\.exe)? \0 | uv (?:\.exe)? \0 tool \0 run \0 | pipx (?:\.exe)? \0 run \0 )
        (?: (?: --python | -p | --with | --index | --default-index | --index-url | --extra-index-url | --pip-args )
            [\0=] [^\0]* \0
        |   (?: --offline | --isolated | --no-cache | --refresh | --no-config | --native-tls | --quiet | -q ) \0
        |   (?: --from | --spec ) [\0=] {_PACKAGE} \0
        )*
        {_PACKAGE} \0
    )
    """,
    re.VERBOSE,
)


def server_command() -> list[str]:
    """Return the command that starts this server, with an absolute path: hosts don't have the shell's PATH."""
    script = Path(sys.executable).with_name("callers-mcp.exe" if sys.platform == "win32" else "callers-mcp")
    # Without -P, modules in the folder in which the host starts the server would be imported.
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "callers_mcp"]


def is_ephemeral() -> bool:
    """Return whether this installation is in a cache, as those of ``uvx``, ``uv run --with`` and ``pipx run`` are.

    Source: https://docs.astral.sh/uv/reference/storage/ and https://github.com/pypa/pipx/blob/main/src/pipx/paths.py
    """
    import platformdirs
    from platformdirs.unix import Unix

    # On macOS uv has the same folder as on Linux.
    uv = platformdirs.user_cache_path("uv", False) if sys.platform == "win32" else Unix("uv").user_cache_path
    # Path.expanduser fails if there is no home folder.
    pipx = Path(os.environ.get("PIPX_HOME") or os.path.expanduser("~/.local/pipx"))  # noqa: PTH111
    caches = uv, Path(os.environ.get("UV_CACHE_DIR") or uv), pipx / ".cache", platformdirs.user_cache_path("pipx")
    prefix = Path(sys.prefix).resolve()
    is_cached = any(prefix.is_relative_to(cache.resolve()) for cache in caches)
    return is_cached or any(_UV_CACHE_FOLDER.fullmatch(part) for part in prefix.parts)


def is_in_temporary_folder() -> bool:
    """Return whether this installation is in the system's folder for temporary files."""
    return Path(sys.prefix).resolve().is_relative_to(Path(tempfile.gettempdir()).resolve())


def settings_to_copy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in ``environment`` that are copied into an entry: all except the key."""
    fields = [variable(field) for field in Settings.model_fields]
    values = {name.upper(): value.strip() for name, value in environment.items()}
    return {
        name: values[name]
        for name in fields
        if values.get(name) and name not in (API_KEY, API_KEY_FILE) and not is_placeholder(values[name])
    }


def network_settings(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the proxy and certificate variables to copy, paths made absolute, and the names of those with a login."""
    values = {name: value.strip() for name, value in environment.items() if name.upper() in _NETWORK_VARIABLES}
    values = {name: value for name, value in values.items() if value and not is_placeholder(value)}
    logins = [name for name, value in values.items() if "@" in value]
    for name, value in values.items():
        if name.upper().startswith("SSL"):
            # Path.expanduser fails for an unknown user, and Path.absolute keeps "..".
            paths = (os.path.abspath(os.path.expanduser(path)) for path in value.split(os.pathsep))  # noqa: PTH100, PTH111
            values[name] = os.pathsep.join(paths)
    return {name: value for name, value in values.items() if name not in logins}, logins


def is_variable_of_ours(name: str) -> bool:
    """Return whether a variable of the environment is a setting of this server, or one of those that it needs."""
    return name.upper().startswith("CALLERS_") or name.upper() in _NETWORK_VARIABLES


def to_host(host: Host, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry in the form that the host documents. In this package it has ``command``, ``args`` and ``env``."""
    names = {"command": host.command_key, "env": host.env_key}
    written = {names.get(key, key): value for key, value in entry.items()}
    if host.array and "command" in entry:
        written[host.command_key] = [entry["command"], *written.pop("args", ())]
    return written


def from_host(host: Host, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of the host with ``command``, ``args`` and ``env``; the entry itself if it has another form."""
    names = {host.command_key: "command", host.env_key: "env"}
    entry = {names.get(key, key): value for key, value in written.items()}
    command = written.get(host.command_key)
    if not host.array:
        return entry
    if not isinstance(command, list) or not command or not {"args", "env"}.isdisjoint(written):
        return dict(written)
    return entry | {"command": command[0], "args": command[1:]}


def stdio_entry(host: Host, settings: Mapping[str, str], *, sandbox: bool = False) -> dict[str, Any]:
    """Return an entry for the server over stdio, with ``settings`` as its environment; the sandbox has none."""
    command, *arguments = server_command()
    if sandbox:
        return {**host.stdio, "command": command, "args": [*arguments, "--sandbox"]}
    return {**host.stdio, "command": command, "args": arguments, "env": dict(settings)}


def merge(current: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``entry`` with the keys and variables that the user added to the ``current`` one.

    Settings that ``entry`` doesn't set are kept, except an API key, which must be in its file.
    """
    if current is None:
        return dict(entry)
    environment = current.get("env")
    current_env = environment if isinstance(environment, dict) else {}
    variables = {key: value for key, value in current_env.items() if key not in (API_KEY, API_KEY_FILE)}
    # An empty env stays too: some hosts write one.
    merged_env = {"env": {**variables, **entry.get("env", {})}} if "env" in current or "env" in entry else {}
    return {**current, **entry, **merged_env}


def redact(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``entry`` for display: without the key, and without what is not known to be harmless."""
    known = {variable(field) for field in Settings.model_fields} - {API_KEY}
    known |= {*_NETWORK_VARIABLES, *(name.lower() for name in _NETWORK_VARIABLES)}
    redacted = dict(entry)
    for name, value in entry.items():
        if name == "env" and isinstance(value, dict):
            # A URL that a user wrote may have a password or a token.
            redacted[name] = {
                key: text if key in known and not re.search("[@?]", str(text)) else HIDDEN
                for key, text in value.items()
            }
        elif name == "args" and isinstance(value, list):
            redacted[name] = [word if _PLAIN_ARGUMENT.fullmatch(str(word)) else HIDDEN for word in value]
        elif name not in ("command", "type"):
            redacted[name] = HIDDEN
    return redacted


def hidden_names(entry: Mapping[str, Any]) -> list[str]:
    """Return the names of the keys and variables of an entry whose values ``redact`` hides."""
    redacted = redact(entry)
    environment = redacted.pop("env", {})
    values = {**redacted, **(environment if isinstance(environment, dict) else {"env": HIDDEN})}
    return [name for name, value in values.items() if value == HIDDEN or (isinstance(value, list) and HIDDEN in value)]


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry starts this server, from any installation: its program, its module or its package."""
    command, arguments = entry.get("command"), entry.get("args")
    words = [command, *(arguments if isinstance(arguments, list) else [])]
    return isinstance(command, str) and _OUR_COMMAND.match("".join(f"{word}\0" for word in words)) is not None
