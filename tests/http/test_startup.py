"""How ``callers-mcp http`` starts: it says where it serves and for whom, or what to mend in one line, and ends."""

import json
import multiprocessing
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from callers_mcp.http.settings import HostingSettings
from callers_mcp.settings import SettingsError
from tests.support.constants import ID, KEY, PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import Hosted, echo

ISSUER = "https://sign-in.example.com"
OAUTH = {"AUTH": "oauth", "OAUTH_ISSUER": ISSUER}
PUBLIC = {"PUBLIC_URL": "https://mcp.example.com/mcp"}
SANDBOX_KEY = {"CALLERS_API_KEY": KEY}

Start = Callable[..., str]

# The command takes a second to load; from a process that has loaded it, and this file, each start takes a moment.
_LOADED = [
    "__main__",
    __name__,
    "callers_mcp.http.runtime.process",
    "callers_mcp.http.auth.oauth",
    "callers_mcp.cli.http",
]
_starts = multiprocessing.get_context("forkserver")
_starts.set_forkserver_preload(_LOADED)


def _start(folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    os.setsid()  # no terminal, where one could be asked for a password
    for number, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ.update(environment)
    sys.argv = ["callers-mcp", "http", "--port", "0", *arguments]
    from callers_mcp.cli import main

    main()


@pytest.fixture
def refused(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Start the command as a process of its own, see that it ends with 2 and one line, and return the line."""

    def start(*arguments: str, **environment: str) -> str:
        folder = tmp_path_factory.mktemp("start")
        process = _starts.Process(target=_start, args=(folder, arguments, environment))
        process.start()
        process.join(PATIENCE)
        alive = process.exitcode is None
        process.kill()
        process.join()
        out, errors = ((folder / name).read_text() for name in ("out", "errors"))
        assert not alive, f"it started: {out}"
        assert (process.exitcode, out) == (2, ""), errors
        line = re.fullmatch(r"callers-mcp: ([^\n]+)\n", errors)
        assert line, errors
        assert KEY not in errors
        return line[1]

    return start


def test_the_sandbox_needs_no_key_and_the_start_says_all_that_a_host_needs() -> None:
    environment = {"CALLERS_API_KEY_FILE": "/nonexistent", "CALLERS_BASE_URL": "https://api.callers.ai"}
    with Hosted("--sandbox", environment=environment) as server:
        serves, who, config = server.said
        assert serves == f"callers-mcp serves on {server.url}"
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+/mcp", server.url)
        assert who == "Who may call: anybody on this machine"
        host = {"mcpServers": {"callers": {"type": "http", "url": server.url}}}
        assert json.loads(config.removeprefix("Host config: ")) == host
        assert server.call("665f1c2ab1e4a9d0c7f3b801").result["isError"] is False
        code, errors = server.end()
    assert code == 0
    (audit,) = errors.splitlines()
    assert json.loads(audit)["outcome"] == "found"


def test_an_explicit_none_is_warned_of_and_takes_what_a_gateway_forwards() -> None:
    with FaultServer(echo) as api:
        environment = {
            "CALLERS_API_KEY": KEY,
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_HTTP_AUTH": "none",
            "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/team",
            "CALLERS_HTTP_ALLOWED_HOSTS": "inside.example.com:8000",
        }
        with Hosted("--host", "::1", environment=environment) as server:
            assert server.url == "https://mcp.example.com/team"
            assert server.address[0] == "::1"
            assert server.said[1] == "Who may call: whoever reaches it (CALLERS_HTTP_AUTH=none)"
            assert server.call(ID, X_Forwarded_For="10.0.0.2", Via="1.1 gateway").result["isError"] is False
            assert server.call(ID, Host="mcp.example.com:443").status == 200
            assert server.call(ID, Host="inside.example.com:8000").status == 200
            assert server.call(ID, Host=f"[::1]:{server.address[1]}").status == 200
            assert server.call(ID, Host="mcp.example.com:444").status == 421
            code, errors = server.end()
    (warning,) = (line for line in errors.splitlines() if "CALLERS_HTTP_AUTH" in line)
    assert "WARNING" in warning
    assert code == 0


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"CALLERS_API_KEY": ""}, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY": "${KEY}"}, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/nonexistent"}, "CALLERS_API_KEY_FILE"),
        ({"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/"}, "CALLERS_API_KEY_FILE"),
        ({"CALLERS_BASE_URL": "${URL}"}, "CALLERS_BASE_URL"),
        ({"CALLERS_TIMEOUT": "soon"}, "CALLERS_TIMEOUT"),
        ({"CALLERS_SUB_ORGANIZATIONS": "<ids>"}, "CALLERS_SUB_ORGANIZATIONS"),
        ({"CALLERS_MAX_ATTEMPT": "2"}, "did you mean CALLERS_MAX_ATTEMPTS?"),
        ({"CALLERS_HTTP_TOKENFILE": "x"}, "did you mean CALLERS_HTTP_TOKEN_FILE?"),
        ({"CALLERS_HTTP_AUTH": "token"}, "CALLERS_HTTP_AUTH"),
        ({"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": "/nonexistent"}, "callers-mcp token add"),
        ({"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": "/"}, "token file"),
        ({"CALLERS_HTTP_TOKEN_FILE": "/tokens"}, "CALLERS_HTTP_TOKEN_FILE would have no effect: CALLERS_HTTP_AUTH"),
        ({"CALLERS_HTTP_OAUTH_SCOPE": "a"}, "CALLERS_HTTP_OAUTH_SCOPE would have no effect: CALLERS_HTTP_AUTH"),
        ({"CALLERS_HTTP_AUDIT_FILE": "/nonexistent/audit"}, "CALLERS_HTTP_AUDIT_FILE"),
        ({"CALLERS_HTTP_AUDIT_FILE": "/"}, "CALLERS_HTTP_AUDIT_FILE"),
        ({"CALLERS_HTTP_METRICS": "metrics.invalid:1"}, "CALLERS_HTTP_METRICS"),
    ],
    ids=str,
)
def test_it_never_starts_half_configured(refused: Start, environment: dict[str, str], says: str) -> None:
    assert says in refused(**SANDBOX_KEY | environment)


def test_where_the_defaults_token_file_is_missing_its_path_is_named(refused: Start, tmp_path: Path) -> None:
    environment = {"CALLERS_HTTP_AUTH": "tokens", "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert str(tmp_path) in refused(**SANDBOX_KEY | environment)


def test_several_workers_need_a_rate_limit_that_they_share(refused: Start) -> None:
    environment = {"CALLERS_HTTP_RATE_LIMIT": "120/minute"}
    assert "CALLERS_HTTP_RATE_LIMIT_STORAGE" in refused("--workers", "2", **SANDBOX_KEY | environment)


@pytest.mark.parametrize(
    "host", ["no.such.host.invalid", "203.0.113.7", "999.1.1.1", "", " ", "a" * 300, "::g", "ä..b"]
)
def test_an_address_that_is_not_this_machines_is_named(refused: Start, host: str) -> None:
    line = refused("--host", host, **SANDBOX_KEY)
    assert "--host" in line
    assert "while" not in line


def test_a_port_that_is_taken_is_named(refused: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--port", port, **SANDBOX_KEY)
    assert port in line
    assert "--port" in line


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, the same key with a password, another key, and a file of rubbish."""
    folder, authority = tmp_path_factory.mktemp("pems"), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    certificate.cert_chain_pems[0].write_to_path(folder / "chain")
    certificate.private_key_pem.write_to_path(folder / "key")
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(folder / "other")
    (folder / "locked").write_bytes(locked)
    (folder / "rubbish").write_text("rubbish")
    return folder


@pytest.mark.parametrize(
    ("certfile", "keyfile"),
    [
        ("chain", None),
        (None, "key"),
        ("chain", "missing"),
        ("missing", "key"),
        ("rubbish", "key"),
        ("chain", "rubbish"),
        ("chain", "other"),
        ("chain", "locked"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named_and_no_password_is_asked_for(
    refused: Start, pems: Path, certfile: str | None, keyfile: str | None
) -> None:
    given = (("--certfile", certfile), ("--keyfile", keyfile))
    options = [word for option, name in given if name for word in (option, str(pems / name))]
    line = refused(*options, **SANDBOX_KEY)
    assert "--certfile and --keyfile" in line


def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, **given: object) -> HostingSettings:
    for name, value in environment.items():
        monkeypatch.setenv(f"CALLERS_HTTP_{name}", value)
    return HostingSettings.from_environment(**given)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"AUTH": "basic"}, "AUTH"),
        ({"AUTH": ","}, "AUTH"),
        ({"AUTH": "none,tokens"}, "AUTH"),
        ({"AUTH": "oauth"}, "OAUTH_ISSUER"),
        ({"AUTH": "tokens", "OAUTH_ISSUER": ISSUER}, "AUTH"),
        ({"OAUTH_AUDIENCE": "x"}, "AUTH"),
        (PUBLIC, "AUTH"),
        ({"ALLOWED_HOSTS": "mcp.example.com"}, "AUTH"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "AUTH"),
        ({"AUTH": "none", "PUBLIC_URL": "http://mcp.example.com/mcp"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "mcp.example.com"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://user:secret@mcp.example.com/mcp"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com/mcp?x=1"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com/mcp#x"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com:99999/mcp"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com/${PATH}"}, "PUBLIC_URL"),
        ({"AUTH": "none", "ALLOWED_HOSTS": "https://mcp.example.com"}, "ALLOWED_HOSTS"),
        ({"AUTH": "none", "ALLOWED_HOSTS": "a.example.com,*"}, "ALLOWED_HOSTS"),
        ({"AUTH": "none", "TRUSTED_PROXIES": "proxy.example.com"}, "TRUSTED_PROXIES"),
        ({"AUTH": "none", "TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
        (OAUTH | {"OAUTH_ISSUER": "http://sign-in.example.com"}, "OAUTH_ISSUER"),
        (OAUTH | {"OAUTH_ISSUER": "<your issuer>"}, "OAUTH_ISSUER"),
        (OAUTH | {"OAUTH_SCOPE": "a b"}, "OAUTH_SCOPE"),
        (OAUTH | {"OAUTH_SCOPE": 'a"'}, "OAUTH_SCOPE"),
        ({"RATE_LIMIT": "often"}, "RATE_LIMIT"),
        ({"RATE_LIMIT": "0/minute"}, "RATE_LIMIT"),
        ({"RATE_LIMIT_STORAGE": "file:///secret"}, "RATE_LIMIT_STORAGE"),
        ({"RATE_LIMIT_STORAGE": "redis://:secret@"}, "RATE_LIMIT_STORAGE"),
        ({"MAX_CALLS": "0"}, "MAX_CALLS"),
        ({"MAX_CALLS": "many"}, "MAX_CALLS"),
        ({"DRAIN_SECONDS": "-1"}, "DRAIN_SECONDS"),
        ({"DRAIN_SECONDS": "nan"}, "DRAIN_SECONDS"),
        ({"DRAIN_SECONDS": "301"}, "DRAIN_SECONDS"),
        ({"METRICS": "9100"}, "METRICS"),
        ({"METRICS": "127.0.0.1:99999"}, "METRICS"),
        ({"METRICS": ":9100"}, "METRICS"),
        ({"TOKEN_FILE": "${FILE}"}, "TOKEN_FILE"),
        ({"AUDIT_FILE": "{{ file }}"}, "AUDIT_FILE"),
        ({"DRAIN_SECOND": "1"}, "did you mean CALLERS_HTTP_DRAIN_SECONDS?"),
        ({"AUTHENTICATION": "none"}, "CALLERS_HTTP_AUTHENTICATION is not a setting"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named_in_one_line_without_its_value(
    environment: dict[str, str], names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings(environment, monkeypatch)
    said = str(refusal.value)
    assert names in said
    assert "\n" not in said
    assert "secret" not in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "mcp.example.com"])
@pytest.mark.parametrize(
    ("environment", "given", "names"),
    [
        ({}, {"tls": True}, "CALLERS_HTTP_AUTH"),
        ({"AUTH": "tokens"} | PUBLIC, {}, "CALLERS_HTTP_TRUSTED_PROXIES"),
        (OAUTH, {"tls": True}, "CALLERS_HTTP_PUBLIC_URL"),
    ],
)
def test_off_loopback_nothing_is_open_or_in_the_clear_by_default(
    environment: dict[str, str], given: dict[str, object], names: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=names):
        settings(environment, monkeypatch, host=host, **given)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_on_every_address_its_own_name_has_to_be_told(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="CALLERS_HTTP_PUBLIC_URL"):
        settings({"AUTH": "tokens"}, monkeypatch, host=host, tls=True)
    assert settings({"AUTH": "tokens"} | PUBLIC, monkeypatch, host=host, tls=True).url == PUBLIC["PUBLIC_URL"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_nothing_has_to_be_set(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hosting = settings({"AUTH": " ", "PUBLIC_URL": "", "DRAIN_SECONDS": ""}, monkeypatch, host=host)
    assert hosting.auth is None
    assert hosting.drain_seconds == 5


def test_what_kubernetes_sets_for_a_service_is_not_taken_for_a_setting(
    refused: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = {
        "CALLERS_MCP_SERVICE_HOST": "10.0.0.1",
        "CALLERS_MCP_SERVICE_PORT": "8000",
        "CALLERS_MCP_SERVICE_PORT_HTTP": "8000",
        "CALLERS_MCP_PORT": "tcp://10.0.0.1:8000",
        "CALLERS_MCP_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "CALLERS_MCP_PORT_8000_TCP_ADDR": "10.0.0.1",
        "CALLERS_MCP_PORT_8000_TCP_PORT": "8000",
        "CALLERS_MCP_PORT_8000_TCP_PROTO": "tcp",
    }
    http = {name.replace("_MCP_", "_HTTP_"): value for name, value in links.items()}
    line = refused(**SANDBOX_KEY | links | http | {"CALLERS_HTTP_AUTH": "oauth"})
    assert line == "CALLERS_HTTP_OAUTH_ISSUER must be set for oauth."
