"""The clients that are tried with the server, and how one is run.

Each client has a driver, a small program in ``drivers/`` that does what the columns say and prints the results. A
Python client has an environment of its own, which is kept by its versions in the cache folder of the user. The Node
packages are in the folder that ``TEST_NODE_MODULES`` names.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv
from filelock import FileLock
from platformdirs import user_cache_path

from callers_mcp.access import UNRESTRICTED
from callers_mcp.http.auth import token_store
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import CAMPAIGN_OWNER_ID, ID, KEY, NODE_MODULES, PATIENCE
from tests.support.fault_server import AT_ONCE, Exchange, FaultServer
from tests.support.hosted_thread import HostedThread
from tests.support.stand_in_api import holding

FOLDER = Path(__file__).parent
COLUMNS = ("connects", "tools", "calls", "structured", "prompts", "resources", "completion", "progress", "cancellation")
RETRIED, HELD = f"{ID[:-2]}a1", f"{ID[:-2]}a2"
"""Ids of campaigns: one that the API gives only at the second request, and one that it never gives."""

_GRACE_SECONDS = 5
"""How long the end of a look-up may take to reach the API, after the server has read the cancellation."""


class NotInstalled(Exception):
    """A client can't be installed here; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Args:
        title: Its name in the table.
        packages: For a Python client, the packages of its environment, each with a version; the first one is the
            client's. For a Node client, the client's package.
        driver: The file in ``drivers/``.
        arguments: More arguments of the driver.
        transports: The transports that are tried.
    """

    title: str
    packages: tuple[str, ...]
    driver: str
    arguments: tuple[str, ...] = ()
    transports: tuple[str, ...] = ("stdio", "HTTP")

    @property
    def version(self) -> str:
        """The version of the client, as in the table."""
        return self.packages[0].rpartition("@")[2].rpartition("==")[2]


PYDANTIC_AI = ("pydantic-ai-slim[mcp]==2.68.0", "fastmcp-slim==4.2.3", "mcp==2.3.0")
CLIENTS = {
    "mcp": Client("MCP SDK for Python", ("mcp==2.3.0",), "mcp_sdk.py"),
    "openai-agents": Client("OpenAI Agents SDK", ("openai-agents==0.24.0", "mcp==2.3.0"), "openai_agents.py"),
    "langchain": Client(
        "LangChain, MCP adapters",
        ("langchain-mcp-adapters==0.3.2", "langchain==1.5.2", "mcp==1.30.0"),
        "langchain_adapters.py",
    ),
    "llamaindex": Client("LlamaIndex, MCP tools", ("llama-index-tools-mcp==0.6.0", "mcp==2.3.0"), "llamaindex.py"),
    "pydantic-ai": Client("PydanticAI", PYDANTIC_AI, "fastmcp_client.py", ("pydantic-ai",)),
    "fastmcp": Client("FastMCP", (PYDANTIC_AI[1], PYDANTIC_AI[0], PYDANTIC_AI[2]), "fastmcp_client.py"),
    "typescript-1": Client(
        "MCP SDK for TypeScript", ("@modelcontextprotocol/sdk@1.32.2",), "typescript_sdk.mjs", ("1",)
    ),
    "typescript-2": Client("MCP SDK for TypeScript", ("@modelcontextprotocol/client@2.4.0",), "typescript_sdk.mjs"),
    "ai-sdk": Client("AI SDK", ("@ai-sdk/mcp@2.0.99",), "ai_sdk.mjs"),
    "inspector": Client("MCP Inspector, command line", ("@modelcontextprotocol/inspector@2.12.0",), "inspector.mjs"),
    "mcp-remote": Client("mcp-remote", ("mcp-remote@0.15.1",), "mcp_sdk.py", transports=("HTTP",)),
}


def python_of(name: str) -> Path:
    """Return the Python of a client's environment, which is made at the first use and kept.

    Raises:
        NotInstalled: The packages can't be installed.
    """
    packages = sorted(CLIENTS[name].packages)
    version = hashlib.sha256(" ".join([sys.version, *packages]).encode()).hexdigest()[:12]
    folder = user_cache_path("callers-mcp-tests") / f"clients-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make = ["venv", "--quiet", "--python", sys.executable, str(folder)]
            for arguments in (make, ["pip", "install", "--quiet", "--python", str(python), *packages]):
                done = subprocess.run([uv.find_uv_bin(), *arguments], capture_output=True, text=True)
                if done.returncode:
                    raise NotInstalled(f"{packages[0]}: {done.stderr.strip()[-300:]}")
            (folder / "done").touch()
    return python


def node_modules(package: str) -> Path:
    """Return the folder of Node packages, which has this one.

    Raises:
        NotInstalled: It has not.
    """
    name, _, version = package.rpartition("@")
    folder = Path(os.environ.get(NODE_MODULES, "node_modules")).absolute()
    try:
        installed = json.loads((folder / name / "package.json").read_text("utf-8"))["version"]
    except OSError:
        installed = "missing"
    if installed != version:
        raise NotInstalled(f"{name} {version} is not in {NODE_MODULES}: {installed}")
    return folder


class Api:
    """The Callers API of one run, which is also what tells the driver what it has seen."""

    def __init__(self) -> None:
        self._arrived, self._abandoned = threading.Event(), threading.Event()
        self._retried = False
        self._found = holding(campaign(), campaign(id=RETRIED))

    def __call__(self, exchange: Exchange) -> None:
        """Answer a request."""
        target = exchange.request.target
        if target.endswith("/arrived"):
            fault.answer(self._arrived.wait(PATIENCE))(exchange)
        elif target.endswith("/abandoned"):
            fault.answer(self._abandoned.wait(_GRACE_SECONDS))(exchange)
        elif target.endswith(HELD):
            self._arrived.set()
            exchange.hang()
            if not exchange.server.stopping.is_set():
                self._abandoned.set()
        elif target.endswith(RETRIED) and not self._retried:
            self._retried = True
            fault.error(503, "later", [AT_ONCE])(exchange)
        else:
            self._found(exchange)


@contextmanager
def served(transport: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Run the API, and for HTTP the server; yield what a driver receives."""
    with ExitStack() as stack:
        api = stack.enter_context(FaultServer(Api()))
        environment = {
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_API_KEY": KEY,
            "CALLERS_ORGANIZATION_ID": CAMPAIGN_OWNER_ID,
            "CALLERS_LOG_LEVEL": "ERROR",
            "CALLERS_TIMEOUT": "300",
        }
        given = {"id": ID, "name": campaign()["name"], "retried": RETRIED, "held": HELD, "control": api.base_url}
        if transport == "stdio":
            command = {"command": sys.executable, "args": ["-P", "-m", "callers_mcp"]}
            yield given | command | {"env": {"PATH": os.environ["PATH"]} | environment}
        else:
            token = token_store.add(folder / "tokens.json", "client", UNRESTRICTED)
            tokens = {"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": str(folder / "tokens.json")}
            tokens["CALLERS_HTTP_AUDIT_FILE"] = str(folder / "audit.jsonl")
            server = stack.enter_context(HostedThread(environment=environment | tokens))
            yield given | {"url": server.url, "headers": {"Authorization": f"Bearer {token}"}}


def run(name: str, transport: str, folder: Path) -> dict[str, bool | str | None]:
    """Run a client; return a result for each column, see ``drivers/harness.py``.

    Args:
        name: The key in ``CLIENTS``.
        transport: ``stdio`` or ``HTTP``.
        folder: An empty folder for the files of this run.

    Raises:
        NotInstalled: The client can't be installed here.
    """
    client = CLIENTS[name]
    is_node = "@" in client.packages[0]
    driver = FOLDER / "drivers" / client.driver
    with served(transport, folder) as server:
        program = [sys.executable]
        if is_node:
            modules = node_modules(client.packages[0])
            node = modules / "node/bin/node"
            program = [str(node) if node.exists() else shutil.which("node") or "node"]
            if client.driver.endswith(".py"):  # it bridges stdio to HTTP
                headers = [word for header in server["headers"].items() for word in ("--header", ":".join(header))]
                proxy = str(modules / "mcp-remote/dist/proxy.js")
                bridge = [proxy, server["url"], *headers, "--transport", "http-only"]
                server |= {"command": program[0], "args": bridge, "env": {**os.environ, "HOME": str(folder)}}
                program = [str(python_of("mcp"))]
            else:  # a module of Node looks for packages beside its file
                shutil.copytree(FOLDER / "drivers", folder / "drivers")
                (folder / "drivers/node_modules").symlink_to(modules)
                driver = folder / "drivers" / client.driver
        else:
            program = [str(python_of(name))]
        done = subprocess.run(
            [*program, str(driver), json.dumps(server), *client.arguments],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            env=os.environ | {"HOME": str(folder), "OPENAI_AGENTS_DISABLE_TRACING": "1"},
        )
    try:
        results: dict[str, bool | str | None] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        results = {"connects": done.stderr.strip()[-400:] or "no output"}
    return results


def row(name: str, transport: str, results: dict[str, bool | str | None]) -> str:
    """Return the row of the table for a result."""
    client = CLIENTS[name]
    words = {True: "yes", None: "—"}
    cells = [words.get(results.get(column, "no"), "no") for column in COLUMNS]  # type: ignore[arg-type]
    return f"| {' | '.join([client.title, client.version, transport, *cells])} |"
