"""The audit file: a line for each look-up, whole, whatever happens to the file."""

import json
import logging
import os
import re
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.api.events import LookupEvent
from callers_mcp.api.key_mask import mask
from callers_mcp.http.ops.audit import AuditLog
from callers_mcp.settings import SettingsError
from tests.support.constants import KEY, PATIENCE, SAMPLE_ID

TOKEN = "callers_mcp_" + "0123456789abcdef" * 4


def look_up(principal: str = "token:ci", **values: Any) -> LookupEvent:
    usual = {"campaign_id": SAMPLE_ID, "organization": "main", "outcome": "found", "seconds": 0.0874}
    return LookupEvent(principal=principal, **{**usual, "attempts": 1, "shared": False, "request_id": "4f0c", **values})


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Callable[[Path], AuditLog]]:
    opened: list[AuditLog] = []

    def open_log(path: Path) -> AuditLog:
        opened.append(AuditLog(path, lambda text: mask(text, KEY)))
        return opened[-1]

    yield open_log
    for log in opened:
        log.close()


def callers(*contents: bytes) -> list[str]:
    return [json.loads(line)["caller"] for content in contents for line in content.splitlines()]


def test_a_look_up_is_one_line_with_caller_campaign_organization_and_outcome(
    tmp_path: Path, audit: Callable[[Path], AuditLog]
) -> None:
    path = tmp_path / "audit.jsonl"
    log = audit(path)
    before = datetime.now(UTC)
    log.on_lookup_finished(look_up())
    log.on_lookup_finished(
        look_up("oauth:https://id.example|ada", organization="sub-1", outcome="not_found", seconds=0.0)
    )
    first, second = path.read_text("ascii").splitlines()
    moment = first[9:33]
    assert first == (
        f'{{"time":"{moment}","caller":"token:ci","campaign":"{SAMPLE_ID}","sub_organization":"main",'
        '"outcome":"found","milliseconds":87,"request_id":"4f0c"}'
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    assert -0.001 <= (datetime.fromisoformat(moment) - before).total_seconds() < PATIENCE
    assert '"sub_organization":"sub-1","outcome":"not_found","milliseconds":0' in second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert log.problem is None


def test_the_audit_continues_the_file_of_an_earlier_server(tmp_path: Path, audit: Callable[[Path], AuditLog]) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"caller":"earlier"}\n{"caller":"cut by a full di')
    audit(path).on_lookup_finished(look_up())
    lines = path.read_bytes().splitlines()
    assert callers(lines[0], lines[2]) == ["earlier", "token:ci"]


def test_without_a_file_the_audit_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = AuditLog(None, str)
    log.on_lookup_finished(look_up())
    log.close()
    assert callers(capfd.readouterr().err.encode()) == ["token:ci"]
    os.fstat(2)  # is still open


@pytest.mark.parametrize("field", ["principal", "campaign_id", "organization", "outcome", "request_id"])
def test_neither_key_nor_token_is_in_the_audit(tmp_path: Path, audit: Callable[[Path], AuditLog], field: str) -> None:
    path = tmp_path / "audit.jsonl"
    audit(path).on_lookup_finished(look_up(**{field: f"a {KEY.upper()} b {TOKEN} c"}))
    assert "a [API key] b [token] c" in json.loads(path.read_bytes()).values()


@pytest.mark.parametrize(
    "name", ['a"\\\n{"caller":"b"}\r\n', "\u2028\x85\x00\x1b[2J", "ä😀", "\udc80", "x" * 70_000, "😀" * 9_999]
)
def test_any_name_gives_one_line_that_a_pipe_takes_whole(
    tmp_path: Path, audit: Callable[[Path], AuditLog], name: str
) -> None:
    path = tmp_path / "audit.jsonl"
    log = audit(path)
    fields = dict.fromkeys(("campaign_id", "organization", "outcome", "request_id"), name)
    log.on_lookup_finished(look_up(f"oauth:{name}1", **fields))
    log.on_lookup_finished(look_up(f"oauth:{name}2", **fields))
    content = path.read_bytes()
    assert content.isascii()
    assert len(content.splitlines()) == 2 == len(set(callers(content)))  # a long name is cut, and not taken for another
    assert max(map(len, content.splitlines())) < 4096


def test_a_file_that_cannot_be_opened_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path, reason in {
        tmp_path / "no\nfolder" / "audit": "No such file",
        tmp_path / "file" / "audit": "Not a directory",
        tmp_path: "Is a directory",
        tmp_path / "pipe": "no process reads the pipe",
    }.items():
        with pytest.raises(
            SettingsError, match=f"CALLERS_HTTP_AUDIT_FILE.*{reason}.*; use a file in a folder"
        ) as refused:
            AuditLog(path, str)
        assert "\n" not in str(refused.value)
        assert str(path).replace("\n", " ") in str(refused.value)


READ_ONLY = Path("/proc/sys/kernel/ostype")  # even for root, who may write nearly anywhere


@pytest.mark.skipif(os.geteuid() == 0 and not READ_ONLY.exists(), reason="root may write anywhere here")
def test_a_file_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    path = READ_ONLY
    if os.geteuid() != 0:
        path = tmp_path / "audit.jsonl"
        path.touch(0o400)
    with pytest.raises(SettingsError, match="Permission denied"):
        AuditLog(path, str)


_PROCESS = """
import sys
from pathlib import Path
from callers_mcp.api.events import LookupEvent
from callers_mcp.http.ops.audit import AuditLog
from callers_mcp.settings import SettingsError

name, path, count = sys.argv[1:]
try:
    log = AuditLog(Path(path) if path else None, str)
except SettingsError as error:
    sys.exit(str(error) if path else print(error))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(count)):
    log.on_lookup_finished(LookupEvent(f"{name}{number}", "0" * 24, "main", "found", 0.1, 1, False, "id"))
print("done", flush=True)
sys.stdin.readline()
log.close()
"""


@contextmanager
def process(name: str, path: Path | str, count: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROCESS, name, str(path), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def go_on(started: subprocess.Popen[bytes]) -> None:
    assert started.stdin
    started.stdin.write(b"\n")
    started.stdin.flush()


def line_of(started: subprocess.Popen[bytes]) -> bytes:
    assert started.stdout
    return started.stdout.readline()


@pytest.mark.slow
def test_processes_share_a_file_that_is_rotated_and_lose_nothing(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    with process("a", path, 3_000) as a, process("b", path, 3_000) as b:
        for one in (a, b):
            assert line_of(one) == b"ready\n"
        for one in (a, b):
            go_on(one)
        while not path.stat().st_size:
            pass
        path.rename(old)
        for one in (a, b):
            assert line_of(one) == b"done\n"
            go_on(one)
            assert one.wait(PATIENCE) == 0
    written = callers(old.read_bytes(), path.read_bytes() if path.exists() else b"")
    assert sorted(written) == sorted(f"{name}{number}" for name in "ab" for number in range(3_000))
    assert [name for name in written if name.startswith("a")] == [f"a{number}" for number in range(3_000)]


def test_a_rotated_file_is_created_again(tmp_path: Path, audit: Callable[[Path], AuditLog]) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    log = audit(path)
    log.on_lookup_finished(look_up("token:first"))
    path.rename(old)
    log.on_lookup_finished(look_up("token:second"))
    assert callers(old.read_bytes()) == ["token:first"]
    assert callers(path.read_bytes()) == ["token:second"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    descriptors = Path("/proc/self/fd")  # only Linux has it
    assert not any(one.samefile(old) for one in descriptors.glob("*") if one.exists())


def test_lost_lines_are_counted_until_the_file_can_be_created_again(
    tmp_path: Path, audit: Callable[[Path], AuditLog], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log" / "audit.jsonl"
    path.parent.mkdir()
    log = audit(path)
    log.on_lookup_finished(look_up("before"))
    path.parent.rename(tmp_path / "away")
    for number in range(4):
        log.on_lookup_finished(look_up(f"late:{number}"))
    problem = f'"{path}" can\'t be written to (No such file or directory)'
    assert log.problem == problem

    path.parent.mkdir()
    assert log.problem is None  # looking is enough
    log.on_lookup_finished(look_up("last"))
    assert callers((tmp_path / "away" / path.name).read_bytes()) == ["before"]
    assert callers(path.read_bytes()) == ["late:0", "last"]  # the first was tried again
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, f"the audit log: {problem}; lines are lost until that works"),
        (logging.WARNING, f'the audit log: "{path}" can be written to again; 3 lines were lost'),
    ]


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: what is beyond is not written, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_does_not_join_two_lines(tmp_path: Path, audit: Callable[[Path], AuditLog]) -> None:
    path = tmp_path / "audit.jsonl"
    log, other = audit(path), audit(path)
    log.on_lookup_finished(look_up("before"))
    with full_disk(path.stat().st_size + 20):
        log.on_lookup_finished(look_up("first"))
        assert log.problem
        assert "File too large" in log.problem or "No space left" in log.problem
        other.on_lookup_finished(look_up("second"))  # another instance
    assert other.problem is None
    assert log.problem is None
    log.on_lookup_finished(look_up("third"))
    lines = path.read_bytes().splitlines()
    assert len(lines.pop(1)) == 20
    assert callers(*lines) == ["before", "second", "first", "third"]


def test_a_full_pipe_delays_no_look_up_and_its_lost_lines_are_counted(
    tmp_path: Path, audit: Callable[[Path], AuditLog], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = audit(path)
    for number in range(3_000):
        log.on_lookup_finished(look_up(f"token:{number}"))
    assert log.problem == f'"{path}" can\'t be written to (no process reads the pipe)'
    content = b""
    while log.problem:
        content += os.read(reader, 1_000_000)
    content += os.read(reader, 1_000_000)
    os.close(reader)
    numbers = [int(caller.removeprefix("token:")) for caller in callers(content)]
    lost = 3_000 - len(numbers)
    assert numbers == list(range(len(numbers)))
    assert lost > 0
    assert caplog.messages[-1].endswith(f"can be written to again; {lost} lines were lost")

    log.on_lookup_finished(look_up())  # the reader has left
    log.close()
    assert caplog.messages[-1] == (
        f'the audit log lost 1 lines: "{path}" can\'t be written to (no process reads the pipe)'
    )


def test_a_full_stderr_delays_no_look_up(tmp_path: Path) -> None:
    with process("token:", "", 1_500) as started:
        assert line_of(started) == b"ready\n"
        go_on(started)
        assert line_of(started) == b"done\n"  # far more than a pipe holds
        assert started.stderr
        content = b""
        while content.count(b"\n") < 300:
            content += os.read(started.stderr.fileno(), 65_536)
        go_on(started)
        content += started.stderr.read()
    lines = [line for line in content.splitlines() if line.startswith(b"{")]
    numbers = [int(caller.removeprefix("token:")) for caller in callers(*lines)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 300


def test_without_a_stderr_there_is_no_audit() -> None:
    command = ["sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", _PROCESS, "token:", "", "0"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=PATIENCE, check=False)
    assert b"stderr can't be written to" in done.stdout
