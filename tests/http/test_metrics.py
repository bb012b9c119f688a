"""The metrics, as Prometheus reads them over HTTP."""

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from callers_mcp.api.events import LookupEvent, Observer
from callers_mcp.http.ops.metrics import Metrics
from callers_mcp.http.rejections import REASONS
from callers_mcp.http.runtime import protocol
from callers_mcp.settings import SettingsError
from tests.support.constants import PATIENCE, SAMPLE_ID
from tests.support.prometheus import samples


def look_up(outcome: str = "found", **values: Any) -> LookupEvent:
    usual = {"principal": "token:ci", "campaign_id": SAMPLE_ID, "organization": "sub-1", "seconds": 0.07, "attempts": 1}
    return LookupEvent(outcome=outcome, **{**usual, "shared": False, "request_id": "4f0c", **values})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Observer())


def test_prometheus_reads_what_was_counted(metrics: Metrics) -> None:
    port = metrics.serve("127.0.0.1", 0)
    assert samples(port) == {}
    for _ in range(6):
        metrics.on_lookup_started()
    metrics.on_lookup_finished(look_up())
    metrics.on_lookup_finished(look_up(attempts=3, seconds=61))
    metrics.on_lookup_finished(look_up("rate_limited", attempts=3, shared=True))
    metrics.on_lookup_finished(look_up("cancelled", attempts=0, seconds=0.004))
    metrics.on_api_request(0.3)
    metrics.count_rejection("expired")
    metrics.count_over_capacity()
    metrics.count_key_fetch_failure()
    seen = samples(port)
    buckets = {name: seen.pop(name) for name in list(seen) if "_bucket" in name}
    assert seen == {
        "look_ups_in_flight": 2,
        "look_ups_totalfound": 2,
        "look_ups_totalrate_limited": 1,
        "look_ups_totalcancelled": 1,
        "look_up_duration_seconds_count": 4,
        "look_up_duration_seconds_sum": 61.144,
        "api_retries_total": 2,
        "shared_look_ups_total": 1,
        "api_request_duration_seconds_count": 1,
        "api_request_duration_seconds_sum": 0.3,
        "authentication_failures_totalexpired": 1,
        "turned_away_calls_total": 1,
        "key_fetch_failures_total": 1,
    }
    assert buckets["look_up_duration_seconds_bucket0.005"] == 1
    assert buckets["look_up_duration_seconds_bucket0.05"] == 1
    assert buckets["look_up_duration_seconds_bucket0.1"] == 3
    assert buckets["look_up_duration_seconds_bucket60.0"] == 3
    assert buckets["look_up_duration_seconds_bucket+Inf"] == 4
    assert "api_request_duration_seconds_bucket0.25" not in buckets


def test_each_reason_of_a_refusal_is_counted_by_its_name(metrics: Metrics) -> None:
    for reason in REASONS:
        metrics.count_rejection(reason)
    assert samples(metrics.serve("127.0.0.1", 0)) == {f"authentication_failures_total{reason}": 1 for reason in REASONS}


def test_only_metrics_are_there_and_a_client_that_breaks_off_leaves_no_trace(
    metrics: Metrics, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    port = metrics.serve("127.0.0.1", 0)
    for path in ("/", "/metrics/x", "/healthz"):
        assert httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 404
    assert httpx2.post(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 405
    unreadable = {"Accept": "text/plain;version=a"}  # makes prometheus-client's own server fail
    assert httpx2.get(f"http://127.0.0.1:{port}/metrics", headers=unreadable, trust_env=False).status_code == 200
    for sent in (b"", b"GET /metrics HTT", b"\x16\x03\x01" * 99, b"GET /metrics HTTP/1.1\r\n\r\n", b"A" * 70_000):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset
        client.sendall(sent)
        client.close()
    assert samples(port) == {}
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def test_a_client_that_sends_slowly_is_cut_off_and_idle_ones_take_no_threads(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_SECONDS", 0.3)
    port, threads = metrics.serve("127.0.0.1", 0), threading.active_count()
    clients = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(15)]
    assert samples(port) == {}
    assert threading.active_count() == threads
    drip = clients.pop()
    drip.settimeout(0.05)
    drip.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(ConnectionError), drip:
        while time.monotonic() < deadline:
            drip.sendall(b"a")
            with suppress(TimeoutError):
                if drip.recv(1000) == b"":
                    raise ConnectionResetError
    for client in clients:
        assert client.recv(1000) == b""
        client.close()


def test_an_address_that_cannot_be_used_is_an_error_of_one_line(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1 port {port} can't .*in use.*another CALLERS_HTTP_METRICS"):
            metrics.serve("127.0.0.1", port)
    for host in ("metrics.invalid", "ä..b"):
        with pytest.raises(SettingsError, match="can't be used") as refused:
            metrics.serve(host, 0)
        assert "\n" not in str(refused.value)


def test_the_address_of_the_metrics_is_logged(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    caplog.set_level(logging.INFO, "callers_mcp")
    port = metrics.serve("::1", 0)
    assert caplog.messages == [f"metrics are on http://[::1]:{port}/metrics"]
    assert httpx2.get(f"http://[::1]:{port}/metrics", trust_env=False).status_code == 200


@pytest.mark.slow
def test_metrics_are_loaded_when_they_are_made_and_use_no_folder_of_another_program() -> None:
    code = (
        "import sys; from callers_mcp.api.events import Observer; from callers_mcp.http.ops.metrics import Metrics\n"
        "assert 'prometheus_client' not in sys.modules\n"
        "Metrics(Observer()).on_lookup_started()"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": "/nowhere"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, timeout=PATIENCE, check=True)
