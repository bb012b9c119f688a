"""How ``callers-mcp http`` starts: it prints where it serves and for whom, or fails with what to fix in one line."""

import json
import re
import shutil
import socket
import ssl
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
from mcp import Client

import callers_mcp
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from callers_mcp.server.card import CARD_URI
from tests.support.constants import ID, KEY, SAMPLE_ID
from tests.support.echo_api import echo
from tests.support.fault_server import FaultServer
from tests.support.forked_command import ForkedCommand
from tests.support.hosted_server import Endpoint, Hosted, message
from tests.support.hosted_thread import HostedThread
from tests.support.http_connection import HttpConnection
from tests.support.mcp_features import meant, offered
from tests.support.team import Team
from tests.support.waiting import until

SANDBOX_KEY = {"CALLERS_API_KEY": KEY}

Start = Callable[..., ForkedCommand]
Refused = Callable[..., str]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return what starts the command as a process of its own."""

    def start(*arguments: str, **environment: str) -> ForkedCommand:
        folder = tmp_path_factory.mktemp("start")
        return ForkedCommand(folder, "http", "--port", "0", *arguments, **environment)

    return start


@pytest.fixture
def refused(start: Start) -> Refused:
    """Return what starts the command, checks that it fails with 2 and one line, and returns the line."""

    def start_and_fail(*arguments: str, **environment: str) -> str:
        with start(*arguments, **environment) as command:
            code = command.wait()
        assert (code, command.out) == (2, ""), command.errors
        line = re.fullmatch(r"callers-mcp: ([^\n]+)\n", command.errors)
        assert line, command.errors
        assert KEY not in command.errors
        return line[1]

    return start_and_fail


@pytest.mark.slow
def test_the_sandbox_needs_no_key_and_prints_all_that_a_host_needs() -> None:
    environment = {"CALLERS_API_KEY_FILE": "/nonexistent", "CALLERS_BASE_URL": "https://api.callers.ai"}
    with Hosted("--sandbox", environment=environment) as server:
        serves, who, config = server.printed
        assert serves == f"callers-mcp serves on {server.url}"
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+/mcp", server.url)
        assert who == "Who may call: any process on this machine"
        host = {"mcpServers": {"callers": {"type": "http", "url": server.url}}}
        assert json.loads(config.removeprefix("Host config: ")) == host
        assert server.look_up(SAMPLE_ID).result["isError"] is False
        code, errors = server.stop()
    assert code == 0
    (audit,) = errors.splitlines()
    assert json.loads(audit)["outcome"] == "found"


@pytest.mark.slow
def test_an_explicit_none_is_warned_of(start: Start) -> None:
    environment = SANDBOX_KEY | {
        "CALLERS_HTTP_AUTH": "none",
        "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/team",
    }
    with start("--host", "::1", **environment) as command:
        serves, who, _ = command.lines(3)
    assert re.fullmatch(
        r"callers-mcp serves on https://mcp\.example\.com/team \(listening on \[::1\]:[1-9]\d+, "
        r"for the Host header mcp\.example\.com; CALLERS_HTTP_ALLOWED_HOSTS adds others\)",
        serves,
    )
    assert who == "Who may call: anyone who can reach it (CALLERS_HTTP_AUTH=none)"
    (warning,) = command.errors.splitlines()
    assert "WARNING" in warning
    assert "CALLERS_HTTP_AUTH" in warning


def test_an_explicit_none_accepts_what_a_gateway_forwards() -> None:
    with FaultServer(echo) as api:
        environment = {
            "CALLERS_API_KEY": KEY,
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_HTTP_AUTH": "none",
            "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/team",
            "CALLERS_HTTP_ALLOWED_HOSTS": "inside.example.com:8000",
        }
        with HostedThread(environment=environment, host="::1") as server:
            assert server.look_up(ID, X_Forwarded_For="10.0.0.2", Via="1.1 gateway").result["isError"] is False
            assert server.look_up(ID, Host="mcp.example.com:443").status == 200
            assert server.look_up(ID, Host="inside.example.com:8000").status == 200
            assert server.look_up(ID, Host=f"[::1]:{server.address[1]}").status == 200
            refused = server.look_up(ID, Host="mcp.example.com:444")
            assert refused.status == 421
            said = refused.content["error"]["message"]
            for expected in "expects mcp.example.com.", "CALLERS_HTTP_PUBLIC_URL", "CALLERS_HTTP_ALLOWED_HOSTS":
                assert expected in said
            assert "444" not in said


def test_a_server_for_tokens_prints_where_a_host_puts_one(start: Start, tmp_path: Path) -> None:
    with FaultServer(echo) as api:
        team = Team(tmp_path, api)
        team.add("ci", "main")
        url = "https://mcp.example.com/team/callers"
        with start(**team.environment | {"CALLERS_HTTP_PUBLIC_URL": url}) as command:
            serves, who, config = command.lines(3)
    assert serves.startswith(f"callers-mcp serves on {url} (listening on 127.0.0.1:")
    assert "holders of a token" in who
    host = json.loads(config.removeprefix("Host config: "))["mcpServers"]["callers"]
    assert host["url"] == url
    assert host["headers"] == {"Authorization": "Bearer <token>"}


def test_a_server_for_tokens_and_sign_in_prints_where_one_signs_in(start: Start, tmp_path: Path) -> None:
    with FaultServer(echo) as api:
        team = Team(tmp_path, api)
        team.add("ci", "main")
        oauth = {"CALLERS_HTTP_AUTH": "tokens,oauth", "CALLERS_HTTP_OAUTH_ISSUER": api.base_url}
        with start(**team.environment | oauth) as command:
            _, who, _ = command.lines(3)
    assert "holders of a token" in who
    assert f", and users who sign in at {oauth['CALLERS_HTTP_OAUTH_ISSUER']}" in who


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
def test_startup_fails_if_the_configuration_is_incomplete(
    refused: Refused, environment: dict[str, str], says: str
) -> None:
    assert says in refused(**SANDBOX_KEY | environment)


def test_the_path_of_a_missing_default_token_file_is_named(refused: Refused, tmp_path: Path) -> None:
    environment = {"CALLERS_HTTP_AUTH": "tokens", "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert str(tmp_path) in refused(**SANDBOX_KEY | environment)


@pytest.mark.parametrize(
    "host", ["no.such.host.invalid", "203.0.113.7", "999.1.1.1", "", " ", "a" * 300, "::g", "ä..b"]
)
def test_an_unusable_address_is_named(refused: Refused, host: str) -> None:
    line = refused("--host", host, **SANDBOX_KEY)
    assert "--host" in line
    assert "while" not in line


def test_a_port_that_is_taken_is_named(refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--port", port, **SANDBOX_KEY)
    assert port in line
    assert "--port" in line


def test_it_serves_with_stdout_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForkedCommand, "has_stdout", False)
    server = Endpoint()
    with socket.create_server(("127.0.0.1", 0)) as free:
        server.address = free.getsockname()
    server.url, port = "http://127.0.0.1/mcp", str(server.address[1])
    with ForkedCommand(tmp_path, "http", "--sandbox", "--port", port, CALLERS_HTTP_DRAIN_SECONDS="0") as command:
        until(server.listens, "it listens")
        assert server.request("GET", "/healthz").status == 200
        assert command.stop() == 0


def test_the_given_certificate_is_used_for_tls(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    for part in certificate.cert_chain_pems:
        part.write_to_path(chain, append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    arguments = ("--sandbox", "--certfile", str(chain), "--keyfile", str(key))
    with start(*arguments, CALLERS_HTTP_DRAIN_SECONDS="0") as command:
        printed = re.fullmatch(r"callers-mcp serves on (https://127\.0\.0\.1:(\d+)/mcp)", command.lines(3)[0])
        assert printed
        url, address = printed[1], ("127.0.0.1", int(printed[2]))
        content, headers = message("tools/list")
        with HttpConnection(url, address, context) as connection:
            connection.post(content, **headers)
            assert connection.answer().result["tools"]
        with HttpConnection(url, address) as plain:
            plain.post(content, **headers)
            assert plain.is_closed()
        assert (command.stop(), command.errors) == (0, "")


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
def test_an_unusable_certificate_is_named_without_a_prompt_for_a_password(
    refused: Refused, pems: Path, certfile: str | None, keyfile: str | None
) -> None:
    given = (("--certfile", certfile), ("--keyfile", keyfile))
    options = [word for option, name in given if name for word in (option, str(pems / name))]
    line = refused(*options, **SANDBOX_KEY)
    assert "--certfile and --keyfile" in line


def test_variables_that_kubernetes_sets_for_a_service_are_not_settings(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
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


NAMES_LATE_IMPORTS = """
import atexit, sys, uvicorn
startup = uvicorn.Server.startup
async def noted(*arguments, **named):
    await startup(*arguments, **named)
    loaded = set(sys.modules)
    known = sys.stdlib_module_names | {"tzdata"}  # data of time zones
    atexit.register(lambda: sys.stderr.writelines(
        f"late: {name}\\n" for name in set(sys.modules) - loaded if name.partition(".")[0] not in known))
uvicorn.Server.startup = noted
from callers_mcp.cli import main
main()
"""


@pytest.mark.slow
async def test_everything_is_loaded_at_the_start_so_an_upgrade_of_the_packages_changes_nothing(tmp_path: Path) -> None:
    package = tmp_path / "callers_mcp"
    shutil.copytree(Path(callers_mcp.__file__).parent, package)
    with Sandbox() as sandbox:
        environment = {
            "CALLERS_API_KEY": API_KEY,
            "CALLERS_BASE_URL": sandbox.base_url,
            "CALLERS_ORGANIZATION_ID": ORGANIZATION_ID,
            "PYTHONPATH": str(tmp_path),
            "PYTHONSAFEPATH": "1",
        }
        with Hosted(environment=environment, code=NAMES_LATE_IMPORTS) as server:
            shutil.rmtree(package)
            async with Client(server.url) as client:
                assert (await client.list_tools()).tools
                assert (await client.list_prompts()).prompts
                assert (await client.read_resource(CARD_URI)).contents
                assert (await client.read_resource(f"callers://campaigns/{SAMPLE_ID}")).contents
                assert await offered(client, "Spring")
                assert await meant(client, SAMPLE_ID)
                assert not (await client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})).is_error
                assert not (await client.call_tool("find_campaigns", {"query": "Sprng renewls"})).is_error
                assert (await client.call_tool("get_campaign", {"campagn_id": SAMPLE_ID})).is_error
            code, errors = server.stop()
    assert code == 0
    assert "late:" not in errors
    assert "internal error" not in errors
