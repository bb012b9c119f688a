"""The example nginx site with real instances behind it, which are restarted and killed one by one under load.

    python -m tests.load.rolling_restart [--clients 8] [--rounds 3]

It prints the number of calls and of failures.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
import httpx2
import trustme

from callers_mcp.access import UNRESTRICTED
from callers_mcp.http.auth import token_store
from tests.load.instance import Instance, free_port
from tests.support.campaigns import campaign
from tests.support.constants import KEY, PATIENCE
from tests.support.fault_server import Exchange, FaultServer, answer
from tests.support.stdio_process import ENVELOPE

SITE = Path(__file__).parents[2] / "examples/hosting/nginx.conf"
NAME = "localhost"
HELD = "4e1d"
"""The prefix of ids that the API answers only when the test releases them."""

_NGINX = """\
{user}daemon off;
worker_processes 2;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def nginx() -> str | None:
    """Return the path of nginx; on Debian its folder is not in PATH for most users."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Site:
    """A real nginx with the example site, in which only the placeholders and ``changes`` are replaced."""

    def __init__(self, folder: Path, ports: Sequence[int], changes: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"https://{NAME}:{self.port}"
        authority = trustme.CA()
        certificate = authority.issue_cert(NAME)
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        text = SITE.read_text()
        replacements = {
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen [::]:443 ssl;": "",
            "/etc/letsencrypt/live/callers.example.com/fullchain.pem": f"{folder}/certificate.pem",
            "/etc/letsencrypt/live/callers.example.com/privkey.pem": f"{folder}/certificate.pem",
            "server_name callers.example.com;": f"server_name {NAME};",
            "127.0.0.1:8001": f"127.0.0.1:{ports[0]}",
            "127.0.0.1:8002": f"127.0.0.1:{ports[1]}",
            **(changes or {}),
        }
        for old, new in replacements.items():
            assert text.count(old) == 1, f"{old!r} is in the site {text.count(old)} times"
            text = text.replace(old, new)
        (folder / "site.conf").write_text(text)
        user = "user root;\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""  # so that it may read the folder
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, user=user))
        self.command = [nginx() or "nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
        self._log = folder / "nginx.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return self
            assert self._process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def client(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.url, verify=self.trust, trust_env=False, timeout=PATIENCE, http2=False, **options
        )


class CampaignApi(FaultServer):
    """An API that knows every id; it answers ids that begin with ``HELD`` only after ``release`` is set."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.release = threading.Event()
        self.left: list[str] = []

    def asked(self, campaign_id: str) -> int:
        """Return how often a campaign was requested."""
        return sum(request.target.endswith(campaign_id) for request in self.requests)

    def _answer(self, exchange: Exchange) -> None:
        campaign_id = exchange.request.target.rpartition("/")[2]
        if campaign_id.startswith(HELD):
            while not self.release.wait(0.02):
                if exchange.peer_left() or self.stopping.is_set():
                    self.left.append(campaign_id)
                    return
        else:
            self.stopping.wait(0.05)  # so that there are always calls in flight
        answer(found(campaign_id))(exchange)


def found(campaign_id: str) -> dict[str, Any]:
    """Return the campaign with an id."""
    return campaign(id=campaign_id, name=f"Campaign {campaign_id}")


@dataclass
class Stack:
    """The API, two ready instances, and the site in front of them."""

    api: CampaignApi
    instances: list[Instance]
    site: Site
    token: str

    async def call(self, client: httpx2.AsyncClient, campaign_id: str) -> str | None:
        """Look a campaign up, and return what is wrong with the answer."""
        headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.token}",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "get_campaign",
        }
        params = {"name": "get_campaign", "arguments": {"campaign_id": campaign_id}, "_meta": ENVELOPE}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        try:
            answered = await client.post("/mcp", json=message, headers=headers)
            if answered.status_code == 200 and answered.json()["result"]["structuredContent"]["raw"] == found(
                campaign_id
            ):
                return None
        except (httpx2.HTTPError, KeyError, ValueError) as error:
            return f"{campaign_id}: {error!r}"
        return f"{campaign_id}: {answered.status_code} {answered.text[:200]}"


@contextmanager
def stack(folder: Path, **settings: str) -> Iterator[Stack]:
    """Start the API, the instances and nginx, and wait until they are ready."""
    token_file = folder / "tokens.json"
    token = token_store.add(token_file, "rolling", UNRESTRICTED)
    with ExitStack() as closing:
        api = closing.enter_context(CampaignApi())
        environment = {
            "CALLERS_API_KEY": KEY,
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_HTTP_AUTH": "tokens",
            "CALLERS_HTTP_TOKEN_FILE": str(token_file),
            "CALLERS_HTTP_PUBLIC_URL": f"https://{NAME}/mcp",
            "CALLERS_HTTP_TRUSTED_PROXIES": "127.0.0.1",
            **settings,
        }
        instances = [Instance(environment, folder / f"{number}.log") for number in (1, 2)]
        for instance in instances:
            closing.callback(instance.close)
        site = closing.enter_context(Site(folder, [instance.port for instance in instances]))
        for instance in instances:
            instance.wait_until_ready()
        yield Stack(api, instances, site, token)


async def until(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait until ``condition`` is true."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        await asyncio.sleep(0.02)


@dataclass
class Load:
    """Clients that call without a pause, each time with a new id.

    Attributes:
        calls: The number of calls that were answered or failed.
        failures: What was wrong with each failed call.
        slowest: The duration of the slowest call, in seconds.
    """

    stack: Stack
    calls: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def client(self) -> None:
        async with self.stack.site.client() as client:
            while True:
                began = time.monotonic()
                failure = await self.stack.call(client, f"{next(self._ids):024x}")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.calls += 1
                if failure:
                    self.failures.append(failure)

    async def more(self, calls: int) -> None:
        """Wait until that many more calls were made."""
        enough = self.calls + calls
        await until(lambda: self.calls >= enough, 2 * PATIENCE)


@dataclass
class Figures:
    """The result of a run."""

    calls: int
    failures: list[str]
    seconds: float
    slowest: float
    exit_codes: Counter[int]

    def __str__(self) -> str:
        codes = ", ".join(f"{count} x {code}" for code, count in self.exit_codes.items())
        return (
            f"calls {self.calls}, failures {len(self.failures)}, seconds {self.seconds:.1f}, "
            f"slowest call {self.slowest:.2f} s, exit codes {codes}"
        )


async def roll(stack: Stack, *, clients: int, rounds: int = 1, kill: bool = False) -> Figures:
    """Restart each instance under load, one after the other; with ``kill``, also kill each."""
    load, began, codes = Load(stack), time.monotonic(), Counter[int]()
    running = [asyncio.create_task(load.client()) for _ in range(clients)]
    await load.more(10 * clients)
    for _ in range(rounds):
        for number in (signal.SIGTERM, signal.SIGKILL) if kill else (signal.SIGTERM,):
            for instance in stack.instances:
                codes[await asyncio.to_thread(instance.end, number)] += 1
                await load.more(2 * clients)
                instance.start()
                await asyncio.to_thread(instance.wait_until_ready)
                await load.more(2 * clients)
    figures = Figures(load.calls, load.failures, time.monotonic() - began, load.slowest, codes)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Restart and kill two instances behind the example site, under load.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), CALLERS_HTTP_DRAIN_SECONDS="1") as started:
        for kill in (False, True):
            figures = asyncio.run(roll(started, clients=given.clients, rounds=given.rounds, kill=kill))
            click.echo(f"{'restarted and killed' if kill else 'restarted'}: {figures}")
            for failure in figures.failures[:5]:
                click.echo(failure)
            failed = failed or bool(figures.failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
