"""What all tests share: an environment without settings, the sandbox, and the real server as a process."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import StdioServerParameters

from callers_mcp.sandbox import API_KEY, Sandbox

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(scope="session", autouse=True)
def _check_each_schema_once() -> Iterator[None]:
    """The SDK's client checks the schema of a tool's results in each session, which takes longer than the calls."""
    check, checked = Draft202012Validator.check_schema, set[str]()

    def check_once(schema: Any, **options: Any) -> None:
        text = json.dumps(schema)
        if text not in checked:
            check(schema, **options)
            checked.add(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft202012Validator, "check_schema", check_once)
        yield


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # what the server runs on


@pytest.fixture(autouse=True)
def _bare_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own key, proxy and certificates out of every test.

    Processes measure their coverage where the test is marked so: that makes a start half as long again, and what the
    others run is the same code.
    """
    measured = request.node.get_closest_marker("measured") is not None
    for name in list(os.environ):
        ours = name.startswith("CALLERS_") or name.upper() in PROXIES or name in TRUST
        if ours or (name.startswith("COV") and not measured) or name == "PYTHONDONTWRITEBYTECODE":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox_environment(sandbox: Sandbox) -> dict[str, str]:
    """What configures a server for the sandbox."""
    return {"CALLERS_BASE_URL": sandbox.base_url, "CALLERS_API_KEY": API_KEY}


@pytest.fixture
def stdio_server(sandbox_environment: dict[str, str]) -> Callable[..., StdioServerParameters]:
    """Return parameters of the real server over stdio: configured for the sandbox, plus what a test sets."""

    def parameters(*arguments: str, **environment: str) -> StdioServerParameters:
        return StdioServerParameters(
            command=sys.executable,
            args=["-m", "callers_mcp", *arguments],
            env=inherited() | sandbox_environment | environment,
        )

    return parameters


def inherited() -> dict[str, str]:
    """What a spawned server needs of our environment: how to measure coverage there."""
    return {name: value for name, value in os.environ.items() if name.startswith(("COV_", "COVERAGE_"))}
