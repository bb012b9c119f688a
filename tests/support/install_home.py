"""The commands that install into a host, run as a person does, in a home of their own."""

import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callers_mcp.install import documents
from callers_mcp.install.formats import Format
from callers_mcp.install.registry import HOSTS, Host, Platform
from tests.conftest import inherited
from tests.support.constants import KEY, PATIENCE

CONFIGURATIONS = Path(__file__).parents[1] / "data/hosts"
NEIGHBOURS_SECRET = "neighboursSecret"


def realistic(host: str) -> bytes:
    """A configuration as somebody has it who uses the host."""
    suffix = "toml" if HOSTS[host].format is Format.TOML else "json"
    return (CONFIGURATIONS / f"{host}.{suffix}").read_bytes()


@dataclass
class Home:
    """A user's home with one host in it."""

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
    def key_file(self) -> Path:
        return self.folder / ".config/callers-mcp/keys" / f"{self.host}.key"

    def put(self, content: bytes) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_bytes(content)

    def entry(self) -> dict[str, Any] | None:
        return documents.get_entry(self.config.read_bytes().decode(), self.row.format, (*self.row.container, "callers"))

    def environment(self, **variables: str) -> dict[str, str]:
        return inherited() | {"HOME": str(self.folder), "PATH": self.path} | self.settings | variables

    def run(self, command: str, *options: str, **variables: str) -> tuple[int, str, str]:
        """Run ``callers-mcp COMMAND HOST``, and return its exit code, and what it wrote."""
        done = subprocess.run(
            [sys.executable, "-m", "callers_mcp", command, self.host, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment(**variables),
            timeout=PATIENCE,
        )
        assert "Traceback" not in done.stderr
        assert KEY not in done.stdout + done.stderr
        assert NEIGHBOURS_SECRET not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def install(self, *options: str, **variables: str) -> str:
        """Install, and return what is said."""
        code, out, errors = self.run("install", *options, **{"CALLERS_API_KEY": KEY} | variables)
        assert (code, errors) == (0, "")
        return out

    def uninstall(self, *options: str) -> str:
        code, out, errors = self.run("uninstall", *options)
        assert (code, errors) == (0, "")
        return out

    def files(self) -> dict[str, tuple[bytes, int, int]]:
        """All that is in the home: content, mode and time of each file."""
        return {
            path.relative_to(self.folder).as_posix(): (path.read_bytes(), mode(path), path.stat().st_mtime_ns)
            for path in self.folder.rglob("*")
            if path.is_file()
        }


def refused(home: Home, command: str = "install", code: int = 1, **variables: str) -> str:
    """Run what must be refused in one or two sentences, without a change to anything."""
    before = {name: file[:2] for name, file in home.files().items()}
    given = {"CALLERS_API_KEY": KEY} if command == "install" else {}
    ended, out, errors = home.run(command, **given | variables)
    assert (ended, out) == (code, "")
    assert errors.startswith("callers-mcp: ")
    assert errors.count("\n") == 1
    assert {name: file[:2] for name, file in home.files().items()} == before
    return errors


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
