"""The files for hosting agree with each other and with the server, and systemd accepts the unit."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from callers_mcp import Settings
from callers_mcp.access import UNRESTRICTED
from callers_mcp.api.key import KeySource
from callers_mcp.http import middleware
from callers_mcp.http.auth import token_store
from callers_mcp.http.runtime import process, protocol
from callers_mcp.http.settings import HostingSettings
from tests.support.constants import KEY, PATIENCE
from tests.support.fault_server import FaultServer, answer, error

FILES = Path(__file__).parents[2] / "examples/hosting"
UNIT = FILES / "callers-mcp@.service"
INSTALLED = "/opt/callers-mcp/bin/callers-mcp"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.mark.parts
@needs_systemd
def test_systemd_accepts_the_unit_and_rates_it_as_hardened(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert f"ExecStart={INSTALLED} " in text
    text = text.replace(INSTALLED, sys.executable)  # systemd checks that the file exists
    unit.write_text(text)
    verified = systemd_analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = systemd_analyze("security", "--offline=true", "--threshold=15", str(unit))
    if "offline" in rated.stderr:
        pytest.skip("this systemd can't rate a unit that is not loaded")
    assert rated.returncode == 0, rated.stdout  # an exposure of at most 1.5 of 10


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


@needs_curl
def test_a_start_succeeds_when_the_instance_is_ready_and_fails_when_it_has_exited() -> None:
    (line,) = directives("ExecStartPost")
    exited = subprocess.Popen([sys.executable, "-c", ""])
    exited.wait()
    with FaultServer(error(503)) as instance:
        command = shlex.split(line.replace("%i", str(instance.port)))
        for main_process, behaviours, code in (
            (os.getpid(), [error(503), answer({"ready": True})], 0),
            (exited.pid, [error(503)], 1),
        ):
            instance.script(*behaviours)
            waited = subprocess.run(command, env={**os.environ, "MAINPID": str(main_process)}, timeout=PATIENCE)
            assert waited.returncode == code
            assert [request.target for request in instance.requests] == ["/readyz"] * len(behaviours)


@pytest.mark.parametrize("lines", ["active lines", "all lines"])
def test_the_environment_file_and_the_unit_configure_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    (tmp_path / "api-key").write_text(KEY)
    token_file = tmp_path / "tokens.json"
    token_store.add(token_file, "support", UNRESTRICTED)
    given = environment(comments=lines == "all lines")
    assert given["CALLERS_HTTP_AUTH"] == "tokens"
    if lines == "all lines":
        given["CALLERS_HTTP_AUTH"] = "tokens,oauth"
    assert {line.partition(":")[0] for line in directives("LoadCredential")} == {"api-key"}
    (set_by_unit,) = directives("Environment")
    name, _, value = set_by_unit.partition("=")
    given |= {"CALLERS_HTTP_TOKEN_FILE": str(token_file), name: value.replace("%d", str(tmp_path))}
    for variable, content in given.items():
        monkeypatch.setenv(variable, content)
    settings = Settings.from_environment()
    hosting = HostingSettings.from_environment(host="127.0.0.1", port=8001)
    assert settings.notices == ()  # such as for a variable that is not a setting
    assert KeySource(settings).current() == KEY
    assert hosting.token_file
    assert len(token_store.read(hosting.token_file)) == 1
    assert "callers.example.com" in hosting.known_hosts


def test_the_numbers_in_the_three_files_and_in_the_server_agree() -> None:
    given = environment()
    timeout, drain = float(given["CALLERS_TIMEOUT"]), float(given["CALLERS_HTTP_DRAIN_SECONDS"])
    (stop_timeout,) = directives("TimeoutStopSec")
    assert float(stop_timeout) >= drain + timeout + 10
    assert float(nginx_value("proxy_read_timeout (.+)s")) > timeout
    assert float(nginx_value("keepalive 64;\n *keepalive_timeout (.+)s")) < process.KEEP_ALIVE_SECONDS
    assert 1024 * int(nginx_value("client_max_body_size (.+)k")) == middleware.MAX_REQUEST_BYTES
    count, size = nginx_value("large_client_header_buffers (.+)k").split()
    assert 1024 * int(count) * int(size) == protocol.MAX_HEAD_BYTES
    assert given["CALLERS_HTTP_PUBLIC_URL"] == f"https://{nginx_value('server_name (.+)')}/mcp"
    (log_folder,) = directives("LogsDirectory")
    assert Path(given["CALLERS_HTTP_AUDIT_FILE"]).parent == Path("/var/log", log_folder)


def environment(*, comments: bool = False) -> dict[str, str]:
    """Return the variables in the environment file; with ``comments`` also those in lines that are commented out."""
    pattern = r"#?(CALLERS_\w+)=(.*)" if comments else r"(CALLERS_\w+)=(.*)"
    lines = (FILES / "environment").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := re.fullmatch(pattern, line))}


def directives(name: str) -> list[str]:
    """Return the values of a directive of the unit."""
    text = UNIT.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def nginx_value(pattern: str) -> str:
    """Return the value of a directive of the nginx site."""
    (value,) = re.findall(rf"^ *{pattern};", (FILES / "nginx.conf").read_text(), re.MULTILINE)
    return str(value)
