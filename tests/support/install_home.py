"""A home folder with an MCP host in it. Use it for tests of ``install``, ``uninstall`` and ``config``.

``Home.run`` runs a command inside the test process, ``Home.run_process`` as a separate process.
"""

import json
import re
import stat
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callers_mcp.install import documents
from callers_mcp.install.registry import HOSTS, Host, Platform
from tests.conftest import inherited
from tests.support.command_line import run, run_process
from tests.support.constants import KEY

CONFIGURATIONS = Path(__file__).parents[1] / "data/hosts"
"""A realistic configuration of each host."""

NEIGHBOURS_SECRET = "neighboursSecret"
"""A secret of another server in each of these configurations."""

EDITED = [name for name, host in HOSTS.items() if not host.by_hand]
"""The hosts whose configuration the command changes."""

WRITABLE = [
    name
    for name in EDITED
    if not HOSTS[name].command and (not HOSTS[name].systems or sys.platform in HOSTS[name].systems)
]
"""Those on this system whose configuration the command writes itself."""

CREATED = [name for name in WRITABLE if not HOSTS[name].must_exist]
"""Those whose configuration the command also creates."""

FORMATS = ["vscode", "codex"]
"""One host for each format of configuration: JSON with comments, and TOML."""


def realistic(host: str) -> bytes:
    """Return a realistic configuration of the host, with other servers in it."""
    return (CONFIGURATIONS / f"{host}.{HOSTS[host].format}").read_bytes()


@dataclass
class Home:
    """A user's home folder with one host in it.

    Attributes:
        folder: The home folder.
        host: The name of the host.
        path: The PATH of the commands.
        settings: Environment variables of all commands.
    """

    folder: Path
    host: str
    path: str = "/usr/bin:/bin"
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def row(self) -> Host:
        return HOSTS[self.host]

    @property
    def config(self) -> Path:
        return self.row.config(Platform(sys.platform, {}, self.folder))

    @property
    def host_folder(self) -> Path:
        return self.row.host_folder(Platform(sys.platform, {}, self.folder))

    @property
    def key_file(self) -> Path:
        return self.folder / ".config/callers-mcp/keys" / f"{self.host}.key"

    def put(self, content: bytes) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_bytes(content)

    def put_realistic(self) -> "Home":
        """Write the host's realistic configuration; return the home."""
        self.put(realistic(self.host))
        return self

    def written(self) -> dict[str, Any] | None:
        """Return the entry as it is in the configuration."""
        return documents.get_entry(self.config.read_bytes().decode(), self.row.format, (*self.row.container, "callers"))

    def entry(self) -> dict[str, Any] | None:
        """Return the entry with ``command``, ``args`` and ``env``, as most hosts have it."""
        written = self.written()
        return None if written is None else usual_form(written)

    def environment(self, **variables: str) -> dict[str, str]:
        return inherited() | {"HOME": str(self.folder), "PATH": self.path} | self.settings | variables

    def run(self, command: str, *options: str, answers: str | None = None, **variables: str) -> tuple[int, str, str]:
        """Run ``callers-mcp COMMAND HOST``; return exit code, stdout and stderr, and check that they have no secret."""
        host = ("--host", self.host) if command in ("check", "get") else (self.host,)
        environment = self.environment(**variables)
        return _checked(run(command, *host, *options, environment=environment, inherit=False, answers=answers))

    def run_process(self, command: str, *options: str, umask: int = -1, **variables: str) -> tuple[int, str, str]:
        """Do the same in a separate process."""
        environment = self.environment(**variables)
        done = run_process(command, self.host, *options, environment=environment, inherit=False, umask=umask)
        return _checked(done)

    def install(self, *options: str, **variables: str) -> str:
        """Install without errors on a machine that has the host; return stdout."""
        self.host_folder.mkdir(parents=True, exist_ok=True)
        code, out, errors = self.run("install", *options, **{"CALLERS_API_KEY": KEY} | variables)
        assert (code, errors) == (0, "")
        return out

    def uninstall(self, *options: str) -> str:
        """Uninstall without errors; return stdout."""
        code, out, errors = self.run("uninstall", *options)
        assert (code, errors) == (0, "")
        return out

    def files(self) -> dict[str, tuple[bytes, int, int]]:
        """Return content, mode and modification time of each file in the home."""
        return {
            path.relative_to(self.folder).as_posix(): (path.read_bytes(), mode(path), path.stat().st_mtime_ns)
            for path in self.folder.rglob("*")
            if path.is_file()
        }


def _checked(done: tuple[int, str, str]) -> tuple[int, str, str]:
    """Return what a command returned, after a look for secrets and tracebacks in it."""
    _, out, errors = done
    assert "Traceback" not in errors
    assert KEY not in out + errors
    assert NEIGHBOURS_SECRET not in out + errors
    return done


def usual_form(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with ``command``, ``args`` and ``env``: some hosts have one array, and other names."""
    names = {"environment": "env"}
    usual = {names.get(key, key): value for key, value in entry.items()}
    if isinstance(usual.get("command"), list):
        usual["command"], *usual["args"] = usual["command"]
    return usual


def meaning(home: Home, content: bytes | None = None) -> dict[str, Any]:
    """Parse a configuration, by default the present one, with other parsers than the project's."""
    text = (home.config.read_bytes() if content is None else content).decode("utf-8-sig")
    if home.row.format == "toml":
        return tomllib.loads(text)
    without_comments = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', r"\1", text, flags=re.DOTALL)
    without_last_commas = re.sub(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', r"\1", without_comments)
    read: dict[str, Any] = json.loads(without_last_commas)
    return read


def squeezed(text: str) -> str:
    """Return a text without white space and commas, and without what a removed entry may leave: empty containers."""
    return re.sub(r'"mcpServers":\{\}', "", re.sub(r"[\s,]", "", text)).removesuffix("{}")


def refused(home: Home, command: str = "install", code: int = 1, **variables: str) -> str:
    """Run a command that must fail with one line on stderr and change no file; return that line."""
    before = {name: file[:2] for name, file in home.files().items()}
    given = {"CALLERS_API_KEY": KEY} if command == "install" else {}
    exit_code, out, errors = home.run(command, **given | variables)
    assert (exit_code, out) == (code, "")
    assert errors.startswith("callers-mcp: ")
    assert errors.count("\n") == 1
    assert {name: file[:2] for name, file in home.files().items()} == before
    return errors


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)
