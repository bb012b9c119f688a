"""The number of connections is limited, also of those that begin no TLS handshake or are idle at a stop."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from callers_mcp.http.runtime import process, protocol
from tests.support.constants import ID, KEY, PATIENCE
from tests.support.echo_api import campaign_id, echo, returned_id
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import Hosted, look_up
from tests.support.hosted_thread import HostedThread
from tests.support.waiting import until


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


def test_a_connection_too_many_gets_503_with_an_error(api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_CONNECTIONS", 1)
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
    with HostedThread(environment=environment) as server:
        with server.connect() as first:
            first.send(first.head("GET", "/healthz"))
            assert first.answer().status == 200
            with server.connect() as second:
                second.send(second.head("GET", "/healthz"))
                answer = second.answer()
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert (answer.content["id"], answer.content["error"]["code"]) == (None, -32600)
                assert "Too many connections" in answer.content["error"]["message"]
                assert second.is_closed()
            first.send(first.head("GET", "/healthz"))  # it was there before
            assert first.answer().status == 200
        until(lambda: server.request("GET", "/healthz").status == 200, "there is room again")


def test_connections_far_above_the_limit_are_closed_at_once(api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(protocol, "MAX_REFUSED_CONNECTIONS", 1)
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
    with HostedThread(environment=environment) as server, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.connect())
        answer = stack.enter_context(server.connect()).answer()  # to no request
        assert (answer.status, answer.headers["connection"]) == (503, "close")


def test_clients_that_begin_no_tls_handshake_are_limited_too(api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    api.script(echo)
    monkeypatch.setattr(process, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(process, "MAX_REFUSED_CONNECTIONS", 1)
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
    with HostedThread(environment=environment, tls=True) as server, server.connect() as first, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(server.address, PATIENCE)) for _ in range(6)]
        assert [client.recv(1) for client in silent[2:]] == [b""] * 4
        content, headers = look_up(ID)
        first.post(content, **headers)
        assert returned_id(first.answer()) == ID
        for client in silent[:2]:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)
        for client in silent:
            client.close()
        until(lambda: _answers(server), "there is room again")
        monkeypatch.setattr(process, "HEAD_TIMEOUT_SECONDS", 0.1)
        with socket.create_connection(server.address, PATIENCE) as late:
            assert late.recv(1) == b""


def test_an_idle_client_that_does_not_read_does_not_delay_the_stop(
    api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "CLOSE_SECONDS", 0.05)
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY, "CALLERS_TIMEOUT": "1"}
    with HostedThread(environment=environment, tls=True) as server:
        idle = server.connect()
        idle.send(idle.head("GET", "/healthz"))
        assert idle.answer().status == 200
    idle.close()  # a client's pool would notice the end at its next request
    assert server.exit_code == 0
    assert server.errors == ""


def _answers(server: HostedThread) -> bool:
    with suppress(ConnectionError, ssl.SSLError):
        return server.request("GET", "/healthz").status == 200
    return False


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (250, 250))
from callers_mcp.cli import main
main()
"""


@pytest.mark.slow
def test_idle_connections_leave_file_descriptors_for_the_api(api: FaultServer) -> None:
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
    with Hosted(environment=environment, code=FEW_FILES) as server, ExitStack() as stack:
        connection = stack.enter_context(server.connect())
        connection.send(connection.head("GET", "/healthz"))
        assert connection.answer().status == 200
        for _ in range(400):  # more than the server may have
            stack.enter_context(server.connect())
        until(lambda: "too many connections" in server.errors, "it has accepted more than it may have")
        content, headers = look_up(campaign_id(1))
        connection.post(content, **headers)
        assert returned_id(connection.answer()) == campaign_id(1)
    assert "Because of the limit of open files, 250, only 30 clients" in server.errors
