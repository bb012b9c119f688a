"""The processes of a run, the server under test and the simulated API, and their use of memory, time and files."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

import httpx2

from tests.support.constants import PATIENCE
from tests.support.hosted_server import clean_environment

ROOT = Path(__file__).parents[2]

OURS = (sys.executable, "-m", "callers_mcp", "http", "--port", "0")
BARE = (sys.executable, str(ROOT / "tests/benchmarks/bare_http_server.py"))
_PROC = Path("/proc")


class Process:
    """A server in a separate process group. Its first line on stdout contains its URL.

    Args:
        command: The command to start.
        environment: The ``CALLERS_*`` variables of the server; it gets none from this process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**clean_environment(), **environment},
            start_new_session=True,
        )
        watch = threading.Timer(PATIENCE, self._process.kill)
        watch.start()
        assert self._process.stdout
        first = self._process.stdout.readline().decode()
        watch.cancel()
        found = re.search(r"https?://\S+", first)
        if not found:
            log = self.log()
            self.close()
            raise RuntimeError(f"{' '.join(command)} did not start: {first}{log}")
        self.url = found[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """Return what was written to stderr so far."""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def memory(self) -> float:
        """Return the resident memory of the process and its children in MiB; 0 if the system does not report it."""
        pages = sum(int(text.split()[1]) for text in self._read("statm"))
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def processor_seconds(self) -> float:
        """Return the processor time of the process and its children."""
        ticks = sum(int(tick) for text in self._read("stat") for tick in text.rpartition(")")[2].split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def descriptors(self, pooled_url: str) -> tuple[int, int]:
        """Return how many files and sockets the processes have open, and how many connections to that URL.

        The connections are counted separately: a pool keeps them for later, so they are not a leak.
        """
        port = f":{urlsplit(pooled_url).port or 0:04X}"
        rows = [line.split() for line in (_PROC / "net/tcp").read_text().splitlines()[1:]]
        pooled = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}
        opened = [name for pid in self._pids() for name in _open_files(pid)]
        to_api = sum(name in pooled for name in opened)
        return len(opened) - to_api, to_api

    def _read(self, name: str) -> Iterator[str]:
        for pid in self._pids():
            with contextlib.suppress(OSError):
                yield (_PROC / str(pid) / name).read_text()

    def _pids(self) -> list[int]:
        pids = [self._process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                pids += map(int, (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split())
        return [pid for pid in pids if (_PROC / str(pid)).exists()]


def _open_files(pid: int) -> Iterator[str]:
    for link in (_PROC / str(pid) / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            yield str(link.readlink())


class Api(Process):
    """The simulated API, see ``tests.load.api``."""

    def __init__(self, *, latency: float = 0.0, faults: int | None = None) -> None:
        command = [sys.executable, "-m", "tests.load.api", "--latency", str(latency)]
        super().__init__(command if faults is None else [*command, "--faults", str(faults)], {})

    def stats(self) -> dict[str, int]:
        stats: dict[str, int] = httpx2.get(f"{self.url}/stats", timeout=PATIENCE, trust_env=False).json()
        return stats


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test, and how to call it.

    Attributes:
        process: The server.
        tokens: The tokens of the callers; none if the server needs none.
        token: The token that is sent; ``None`` if the server needs none.
    """

    process: Process
    tokens: tuple[str, ...]
    index: int = 0

    @property
    def token(self) -> str | None:
        return self.tokens[self.index] if self.tokens else None

    def of_caller(self, index: int) -> "Target":
        """Return the same server, with the token of another caller."""
        return replace(self, index=index)

    @property
    def url(self) -> str:
        return self.process.url


@contextlib.contextmanager
def serve(command: Sequence[str], api: Api, *, callers: int = 1, **settings: str) -> Iterator[Target]:
    """Start a server in front of ``api``; ours needs a token of one of ``callers``, or none if that is 0."""
    environment = {"CALLERS_API_KEY": "k" * 32, "CALLERS_BASE_URL": api.url, **settings}
    with tempfile.TemporaryDirectory() as folder:
        if callers:
            environment |= {"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": f"{folder}/tokens.json"}
        tokens = tuple(_add_token(f"load-{number}", environment) for number in range(callers))
        with Process(command, environment) as process:
            yield Target(process, tokens)


def _add_token(name: str, environment: Mapping[str, str]) -> str:
    add = [sys.executable, "-m", "callers_mcp", "token", "add", name, "--all"]
    added = subprocess.run(add, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=True)
    return added.stdout.strip()


def raise_descriptor_limit() -> None:
    """Let this process and those that it starts open as many files as the system allows them."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(16_384, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
