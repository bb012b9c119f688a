"""The token file: what it contains, who may touch it, and how fast a server notices a change."""

import json
import logging
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callers_mcp import files
from callers_mcp.access import UNRESTRICTED, AllowedOrganizations, Principal
from callers_mcp.http.auth import token_store, tokens
from callers_mcp.http.auth.token_store import TOKEN_PATTERN, add, read, revoke
from callers_mcp.http.auth.tokens import TokenAuthenticator
from tests.support.constants import PATIENCE
from tests.support.token_files import DIGEST, ENTRY, MAIN, PLANTED, SUB, refusal, sha256, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of files are checked only on POSIX")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a server look at its file at each call, so that no test waits."""
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", 0)
    monkeypatch.setattr(files, "SETTLED_SECONDS", 0)  # and read a file again only if it has changed


def test_only_the_digest_of_a_token_is_stored(file: Path) -> None:
    first, second = add(file, "first", MAIN), add(file, "second", AllowedOrganizations.parse([SUB, "another"]))
    assert first != second
    assert TOKEN_PATTERN.fullmatch(first)
    stored = json.loads(file.read_text())
    assert first.removeprefix("callers_mcp_") not in file.read_text()
    created = stored["tokens"][0].pop("created")
    assert abs(time.time() - time.mktime(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60
    digests = [sha256(token) for token in (first, second)]
    assert stored["tokens"][0] == {"name": "first", "sha256": digests[0], "main": True, "sub_organizations": []}
    assert stored["tokens"][1]["sub_organizations"] == [SUB, "another"]
    assert DIGEST not in repr(token_store.TokenRecord.model_validate(ENTRY))


@pytest.mark.parametrize(
    "scope",
    [
        MAIN,
        UNRESTRICTED,
        AllowedOrganizations.parse([SUB]),
        AllowedOrganizations.parse(["main", SUB, "b"]),
        AllowedOrganizations(False, None),
        AllowedOrganizations.parse(["acme.eu/u:1", '"quoted"']),  # ids that no call can give
    ],
)
def test_a_token_may_see_what_was_given_to_it(file: Path, scope: AllowedOrganizations) -> None:
    add(file, "other", MAIN)
    token = add(file, "ci", scope)
    assert TokenAuthenticator(file).authenticate(token) == Principal("token:ci", scope)


def test_an_unknown_or_malformed_token_is_refused(file: Path) -> None:
    token = add(file, "ci", MAIN)
    digest = sha256(token)
    authenticator = TokenAuthenticator(file)
    others = [
        "",
        "ci",
        digest,
        PLANTED,
        f"callers_mcp_{digest}",
        token.upper(),
        f"{token}\n",
        f" {token}",
        "\ud800",
        "é",
    ]
    assert [authenticator.authenticate(other) for other in others] == [None] * len(others)


@pytest.mark.usefixtures("at_each_call")
def test_a_revoked_token_is_refused_and_the_others_are_not(file: Path) -> None:
    kept, revoked = add(file, "kept", MAIN), add(file, "revoked", MAIN)
    authenticator = TokenAuthenticator(file)
    assert authenticator.authenticate(revoked)
    revoke(file, "revoked")
    assert authenticator.authenticate(revoked) is None
    assert authenticator.authenticate(kept)
    assert authenticator.problem is None


def test_a_server_notices_a_change_within_seconds(file: Path) -> None:
    token = add(file, "ci", MAIN)
    authenticator = TokenAuthenticator(file)
    revoke(file, "ci")
    started = time.monotonic()
    while authenticator.authenticate(token):
        assert time.monotonic() < started + PATIENCE
        time.sleep(0.01)
    assert tokens.RECHECK_SECONDS <= 1


def test_a_server_looks_at_its_file_only_now_and_then(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = add(file, "ci", MAIN)
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", 3600)
    authenticator = TokenAuthenticator(file)
    file.unlink()
    assert authenticator.authenticate(token)
    assert authenticator.problem is None


def _put_a_folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


BREAKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (lambda file: file.unlink(), "callers-mcp token add"),
    "no JSON": (lambda file: write(file, "{"), "not JSON"),
    "cut": (lambda file: os.truncate(file, 0), "is empty"),
    "of others": (lambda file: file.chmod(0o666), "chmod 640"),
    "a folder": (_put_a_folder_there, "directory"),
}


@pytest.mark.usefixtures("at_each_call")
@pytest.mark.parametrize("way", BREAKS)
def test_no_caller_is_let_in_while_the_file_is_broken(file: Path, caplog: pytest.LogCaptureFixture, way: str) -> None:
    caplog.set_level(logging.DEBUG)
    token = add(file, "ci", MAIN)
    good = file.read_text()
    authenticator = TokenAuthenticator(file)
    break_it, says = BREAKS[way]
    break_it(file)
    for _ in range(3):
        assert authenticator.authenticate(token) is None
        assert says in str(authenticator.problem)
        assert "\n" not in str(authenticator.problem)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"No token is accepted: {authenticator.problem}"]  # once, however many calls there are
    if file.is_dir():
        file.rmdir()
    write(file, good)
    assert authenticator.authenticate(token)
    assert authenticator.problem is None
    assert "is valid again" in caplog.records[-1].getMessage()
    assert token.removeprefix("callers_mcp_") not in caplog.text
    assert sha256(token) not in caplog.text


@pytest.mark.usefixtures("at_each_call")
def test_a_second_problem_is_logged_too(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(file, "ci", MAIN)
    authenticator = TokenAuthenticator(file)
    for way, says in (("of others", "chmod"), ("gone", "token add")):
        BREAKS[way][0](file)
        assert says in str(authenticator.problem)  # although there is no call
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


@pytest.mark.usefixtures("at_each_call")
def test_a_mounted_secret_is_followed_when_its_link_is_swapped(tmp_path: Path) -> None:
    mounted = tmp_path / "tokens.json"
    mounted.symlink_to("..data/tokens.json")  # as Kubernetes has it
    seen = []
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        seen.append(add(tmp_path / version / "tokens.json", "ci", MAIN))
    (tmp_path / "..data").symlink_to("v1")
    authenticator = TokenAuthenticator(mounted)
    assert [bool(authenticator.authenticate(token)) for token in seen] == [True, False]
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(tmp_path / "..data")
    assert [bool(authenticator.authenticate(token)) for token in seen] == [False, True]
    (tmp_path / "v2").rename(tmp_path / "away")
    assert authenticator.authenticate(seen[1]) is None
    (tmp_path / "away").rename(tmp_path / "v2")  # and the file itself is as it was
    assert authenticator.authenticate(seen[1])


@pytest.mark.usefixtures("at_each_call")
def test_a_change_of_the_same_size_and_time_is_noticed(file: Path) -> None:
    token = add(file, "ci", MAIN)
    os.utime(file, (1, 1))
    authenticator = TokenAuthenticator(file)
    assert authenticator.authenticate(token)
    changed = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == changed:  # until the clock ticks
        write(file, file.read_text().replace(sha256(token), DIGEST))
        os.utime(file, (1, 1))
    assert authenticator.authenticate(token) is None


@pytest.mark.usefixtures("at_each_call")
def test_while_too_many_files_are_open_the_tokens_from_before_are_accepted(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = add(file, "ci", MAIN)
    authenticator = TokenAuthenticator(file)
    revoke(file, "ci")
    free = os.dup(0)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        assert authenticator.authenticate(token)
        assert authenticator.problem is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "Too many open files" in caplog.text
    assert authenticator.authenticate(token) is None


def test_two_changes_in_one_tick_of_a_coarse_clock_are_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", 0)
    version = files.version
    monkeypatch.setattr(files, "version", lambda status: version(status) and (0,))  # so coarse that no change shows
    token = add(file, "ci", MAIN)
    authenticator = TokenAuthenticator(file)
    assert authenticator.authenticate(token)
    revoke(file, "ci")
    assert authenticator.authenticate(token) is None


@pytest.mark.parametrize(
    ("bad", "fixed"), [(0o644, 640), (0o660, 640), (0o620, 600), (0o602, 600), (0o604, 600), (0o666, 640)]
)
def test_a_file_that_others_may_touch_is_refused_with_the_command_that_fixes_it(
    tmp_path: Path, bad: int, fixed: int
) -> None:
    file = tmp_path / "my tokens.json"
    add(file, "ci", MAIN)
    file.chmod(bad)
    before = file.read_bytes()
    texts = {refusal(call, file, *rest) for call, *rest in CALLS}
    assert len(texts) == 1
    assert file.read_bytes() == before
    command = texts.pop().rpartition(": ")[2]
    assert command.startswith(f"chmod {fixed} ")
    subprocess.run(["sh", "-c", command], check=True)
    assert [grant.name for grant in read(file)] == ["ci"]


CALLS: list[tuple[Any, ...]] = [(read,), (TokenAuthenticator,), (add, "new", MAIN), (revoke, "ci")]


@pytest.mark.parametrize("call", [call for call in CALLS if call[0] is not add], ids=lambda call: call[0].__name__)
def test_a_missing_file_is_reported_with_the_command_that_creates_it(tmp_path: Path, call: tuple[Any, ...]) -> None:
    file = tmp_path / "not\nhere" / "tokens.json"
    assert "`callers-mcp token add NAME ...`" in refusal(call[0], file, *call[1:])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0].__name__)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.mkdir(), "directory|not a regular file"),
        (lambda file: os.mkfifo(file, 0o600), "not a regular file"),
        (lambda file: file.symlink_to("/dev/zero"), "not a regular file"),
        (lambda file: file.symlink_to(file), "symbolic links"),
        (lambda file: write(file, " " * 1_048_577), "more than 1048576 bytes"),
    ],
    ids=["folder", "pipe", "device", "loop", "huge"],
)
def test_another_kind_of_file_is_refused_at_once(
    file: Path, make: Callable[[Path], Any], says: str, call: tuple[Any, ...]
) -> None:
    make(file)
    assert re.search(says, refusal(call[0], file, *call[1:]))


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in ENTRY.items() if name != field}


ENTRIES: list[tuple[Any, str]] = [
    (5, "entry 2 must be an object"),
    *((without(field), f" {field} of entry 2 must be ") for field in ENTRY),
    (ENTRY | {"sub_organisations": []}, "entry 2 must be an object with only the fields name, sha256, "),
    (ENTRY | {PLANTED: 1}, "with only the fields"),
    (ENTRY | {"name": "a b"}, "name of entry 2 must be"),
    (ENTRY | {"name": DIGEST, "sha256": "ci"}, "sha256 of entry 2 must be 64 lowercase hexadecimal digits"),
    (ENTRY | {"name": ""}, "name of entry 2"),
    (ENTRY | {"name": "\ud800"}, "name of entry 2"),
    (ENTRY | {"name": "ci\n"}, "name of entry 2"),
    (ENTRY | {"sha256": PLANTED}, "sha256 of entry 2"),
    (ENTRY | {"sha256": DIGEST.upper()}, "sha256 of entry 2"),
    (ENTRY | {"main": "true"}, "main of entry 2 must be true or false"),
    (ENTRY | {"main": 1}, "main of entry 2"),
    (ENTRY | {"main": None}, "main of entry 2"),
    *(
        (ENTRY | {"sub_organizations": places}, "sub_organizations of entry 2")
        for places in ("a", "", "main", None, ["*"], ["main"], ["MAIN"], ["a b"], [""], ["a" * 129], [5], {"a": 1})
    ),
    *(
        (ENTRY | {"created": time}, "created of entry 2")
        for time in ("yesterday", 5, "2026-01-31", "2026-13-01T00:00:00Z")
    ),
    (ENTRY | {"name": "first"}, "entries 1 and 2 have the same name"),
    (ENTRY | {"sha256": "0" * 64}, "entries 1 and 2 have the same sha256"),
]


@pytest.mark.parametrize(("entry", "says"), ENTRIES)
def test_one_invalid_entry_makes_the_whole_file_invalid(file: Path, entry: Any, says: str) -> None:
    first = ENTRY | {"name": "first", "sha256": "0" * 64}
    write(file, {"tokens": [first, ENTRY | {"name": "second"}]})
    assert len(read(file)) == 2  # so that only the entry below is wrong
    write(file, {"tokens": [first, entry]})
    before = file.read_bytes()
    assert says in refusal(read, file)
    assert "0" * 16 not in refusal(TokenAuthenticator, file)
    refusal(add, file, "new", MAIN)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("{]", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ('{"tokens": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", '"tokens", a list'),
        ("{}", '"tokens", a list'),
        ('{"tokens": {}}', '"tokens", a list'),
        ('{"tokens": null}', '"tokens", a list'),
        ('{"tokens": [], "more": 1}', '"tokens", a list'),
        ('{"tokens": [], "tokens": []}', "twice"),
        (json.dumps({"tokens": [ENTRY]}).replace('"main": true', '"main": false, "main": true'), "twice"),
    ],
)
def test_a_file_of_another_form_is_refused(file: Path, content: str, says: str) -> None:
    write(file, content)
    assert says in refusal(read, file)
    assert says in refusal(TokenAuthenticator, file)
