"""``callers-mcp token`` and the changes that it makes to the token file."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner, Result

from callers_mcp.access import UNRESTRICTED, AllowedOrganizations, Principal
from callers_mcp.cli.token import token as token_command
from callers_mcp.http.auth import token_store
from callers_mcp.http.auth.token_store import TOKEN_PATTERN, add, default_path, read, revoke
from callers_mcp.http.auth.tokens import TokenAuthenticator
from tests.support.command_line import run
from tests.support.constants import PATIENCE
from tests.support.stdio_process import Pipe
from tests.support.token_files import ENTRY, MAIN, PLANTED, mode, refusal, sha256, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of files are checked only on POSIX")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to be several users")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("good", [0o600, 0o400, 0o640, 0o440])
def test_a_file_that_a_group_may_read_is_read_and_keeps_its_mode(file: Path, good: int) -> None:
    add(file, "ci", MAIN)
    file.chmod(good)
    add(file, "other", MAIN)
    revoke(file, "ci")
    assert mode(file) == good
    assert [grant.name for grant in read(file)] == ["other"]


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "a\n", "é", "a/b", "a|b", PLANTED])
def test_a_name_that_is_unfit_for_a_log_is_refused(file: Path, name: str) -> None:
    assert "1 to 64 characters from" in refusal(add, file, name, MAIN)
    assert not file.exists()


def test_a_name_can_be_used_once(file: Path) -> None:
    add(file, "ci", MAIN)
    assert "callers-mcp token revoke ci" in refusal(add, file, "ci", UNRESTRICTED)
    assert len(read(file)) == 1


def test_only_an_existing_name_can_be_revoked(file: Path) -> None:
    add(file, "support-bot", MAIN)
    assert "did you mean support-bot?" in refusal(revoke, file, "suport-bot")
    assert "callers-mcp token list" in refusal(revoke, file, "xyz")
    assert len(read(file)) == 1


@pytest.mark.usefixtures("open_umask")
def test_only_the_user_may_read_what_is_created(tmp_path: Path) -> None:
    file = tmp_path / "new" / "callers-mcp" / "tokens.json"
    add(file, "ci", MAIN)
    assert [mode(path) for path in (file, file.parent, file.parent.parent)] == [0o600, 0o700, 0o700]
    assert {mode(path) for path in file.parent.iterdir()} == {0o600}  # the lock too


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_can_be_filled_but_no_server_starts_with_it(file: Path, content: str) -> None:
    write(file, content, 0o640)
    assert "is empty; `callers-mcp token add" in refusal(TokenAuthenticator, file)
    token = add(file, "ci", MAIN)
    assert TokenAuthenticator(file).authenticate(token)
    assert mode(file) == 0o640


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "tokens.json", tmp_path / "real" / "tokens.json"
    link.symlink_to("real/tokens.json")
    token = add(link, "ci", MAIN)
    add(link, "other", MAIN)
    revoke(link, "other")
    assert link.is_symlink()
    assert not target.is_symlink()
    assert TokenAuthenticator(target).authenticate(token)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real", "tokens.json"]  # the lock is beside the target


@as_root
def test_owner_and_group_stay_or_nothing_is_changed() -> None:
    other = 65534
    with tempfile.TemporaryDirectory() as folder:  # as others may not enter pytest's own
        file = Path(folder, "tokens.json")
        add(file, "ci", MAIN)
        file.chmod(0o640)
        for path in (file.parent, file, file.with_name("tokens.json.lock")):
            os.chown(path, other, other)
        revoke(file, "ci")
        assert (file.stat().st_uid, file.stat().st_gid, mode(file)) == (other, other, 0o640)
        os.chown(file, 0, other)
        beside = sorted(file.parent.iterdir())
        os.setegid(other)
        os.seteuid(other)
        try:
            text = refusal(add, file, "ci", MAIN)
        finally:
            os.seteuid(0)
            os.setegid(0)
        assert "change it as its owner, or as root" in text
        assert (read(file), sorted(file.parent.iterdir())) == ((), beside)


def test_a_disk_that_is_full_leaves_the_file_as_it_was(file: Path) -> None:
    add(file, "ci", MAIN)
    before, beside = file.read_bytes(), sorted(file.parent.iterdir())
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        text = refusal(add, file, "other", MAIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "nothing was changed" in text
    assert (file.read_bytes(), sorted(file.parent.iterdir())) == (before, beside)


def test_no_token_is_added_that_would_make_the_file_too_long_to_be_read(file: Path) -> None:
    entries = [ENTRY | {"name": f"n{number}", "sha256": f"{number:064x}"} for number in range(5000)]
    write(file, {"tokens": entries})
    assert len(read(file)) == 5000
    assert "is full" in refusal(add, file, "other", MAIN)
    assert len(read(file)) == 5000


def test_a_change_waits_for_another_one_but_not_forever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(file, "ci", MAIN)
    monkeypatch.setattr(token_store, "LOCK_TIMEOUT_SECONDS", 0.05)
    with filelock.FileLock(f"{file}.lock"):
        assert "try again" in refusal(revoke, file, "ci")
        assert read(file)  # which needs no lock
    revoke(file, "ci")


ADDS = """
import sys
from pathlib import Path
import filelock
from callers_mcp.access import UNRESTRICTED
from callers_mcp.http.auth.token_store import add
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    print(add(Path(sys.argv[1]), f"{sys.argv[2]}-{number}", UNRESTRICTED))
"""


@pytest.mark.slow
def test_processes_that_add_at_once_lose_nothing_and_a_reader_sees_whole_files(file: Path) -> None:
    add(file, "first", MAIN)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDS, str(file), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        while any(process.poll() is None for process in processes):
            assert read(file)[0].name == "first"
        added = [token for process in processes for token in process.communicate(timeout=PATIENCE)[0].split()]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    authenticator = TokenAuthenticator(file)
    assert len(added) == 20
    assert all(authenticator.authenticate(token) for token in added)


def test_only_the_token_is_printed_and_it_works_until_it_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Result]
) -> None:
    file = tmp_path / "folder" / "tokens.json"
    environment = {"CALLERS_HTTP_TOKEN_FILE": str(file)}
    monkeypatch.setenv("CALLERS_HTTP_TOKEN_FILE", str(file))
    code, out, errors = run("token", "add", "support", "--main", "--sub-organization", "b", environment=environment)
    assert code == 0
    assert TOKEN_PATTERN.fullmatch(out.removesuffix("\n"))
    assert errors.startswith(f"Added support to {file}. ")
    assert errors.count("\n") == 1
    caller = TokenAuthenticator(file).authenticate(out.strip())
    assert caller == Principal("token:support", AllowedOrganizations.parse(["main", "b"]))
    listed = command("list")
    assert listed.exit_code == 0
    assert re.fullmatch(r"NAME +MAY SEE +CREATED\nsupport +main, b +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", listed.stdout)
    revoked = command("revoke", "support")
    assert (revoked.exit_code, revoked.stdout, revoked.stderr) == (0, f"Revoked support in {file}.\n", "")
    assert TokenAuthenticator(file).authenticate(out.strip()) is None


@pytest.fixture
def command(file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs ``callers-mcp token`` in this process."""
    monkeypatch.setenv("CALLERS_HTTP_TOKEN_FILE", str(file))
    return lambda *arguments: CliRunner().invoke(token_command, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "sees", "scope"),
    [
        (["--main"], "main", MAIN),
        (["--all"], "everything", UNRESTRICTED),
        (["--all", "--sub-organization", "a"], "everything", UNRESTRICTED),
        (["--sub-organization", "b", "--sub-organization", "a"], "a, b", AllowedOrganizations.parse(["a", "b"])),
        (["--sub-organization", "main"], "main", MAIN),
    ],
)
def test_a_token_is_given_what_the_options_say_and_the_list_shows_it(
    command: Callable[..., Result], file: Path, options: list[str], sees: str, scope: AllowedOrganizations
) -> None:
    token = command("add", "ci", *options).stdout.strip()
    caller = TokenAuthenticator(file).authenticate(token)
    assert caller
    assert caller.organizations == scope
    listed = command("list").output
    assert f" {sees} " in listed
    assert sha256(token) not in listed
    assert token.removeprefix("callers_mcp_") not in listed


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["add", "ci"], 2, "--main, --sub-organization ID (repeatable) or --all"),
        (["add", "--all"], 2, "NAME"),
        (["add", "ci", "--sub-organization", "*"], 2, "--all"),
        (["add", "ci", "--sub-organization", ""], 2, "one id each time"),
        (["add", "ci", "--sub-organization", "a b"], 2, "one id each time"),
        (["add", "ci", "--sub-organization", "a,b"], 2, "one id each time"),
        (["add", "ci", "--sub-organization", "${SUB}"], 2, "one id each time"),
        (["add", "a b", "--all"], 1, "1 to 64 characters from"),
        (["add", "there", "--all"], 1, "token revoke there"),
        (["revoke", "their"], 1, "did you mean there?"),
        (["revoke"], 2, "NAME"),
    ],
)
def test_an_impossible_change_is_reported_and_changes_nothing(
    command: Callable[..., Result], file: Path, arguments: list[str], code: int, says: str
) -> None:
    add(file, "there", MAIN)
    before = file.read_bytes()
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    if code == 1:
        assert result.stderr.startswith("callers-mcp: ")
        assert result.stderr.count("\n") == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [["add", "ci", "--all"], ["list"], ["revoke", "ci"]], ids=lambda arguments: arguments[0]
)
def test_an_unusable_file_is_reported_in_one_line(
    command: Callable[..., Result], file: Path, arguments: list[str]
) -> None:
    write(file, {"tokens": [ENTRY | {"main": PLANTED}]})
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "main of entry 1 must be true or false" in result.stderr
    assert result.stderr.count("\n") == 1
    assert PLANTED not in result.stderr


def test_a_list_without_tokens_says_so(command: Callable[..., Result], file: Path) -> None:
    result = command("list")
    assert result.exit_code == 1
    assert "callers-mcp token add" in result.stderr
    write(file, {"tokens": []})
    assert command("list").stdout == f"There are no tokens in {file}.\n"


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_the_file_is_in_the_config_folder_unless_a_variable_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Result], blank: str | None
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    assert default_path().is_relative_to(tmp_path / "user")
    if blank is None:
        monkeypatch.delenv("CALLERS_HTTP_TOKEN_FILE")
    else:
        monkeypatch.setenv("CALLERS_HTTP_TOKEN_FILE", blank)
    assert command("add", "ci", "--all").exit_code == 0
    assert read(default_path())
    monkeypatch.setenv("CALLERS_HTTP_TOKEN_FILE", f" ~/{default_path().relative_to(tmp_path / 'user')} ")
    assert "everything" in command("list").stdout


def test_a_placeholder_is_not_a_path(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Result]) -> None:
    monkeypatch.setenv("CALLERS_HTTP_TOKEN_FILE", "${TOKENS}")
    result = command("list")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "CALLERS_HTTP_TOKEN_FILE holds a placeholder" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_a_token_that_could_not_be_printed_is_not_kept(file: Path, redirection: str) -> None:
    environment = {"CALLERS_HTTP_TOKEN_FILE": str(file)}
    shell = f'"{sys.executable}" -m callers_mcp token add ci --all {redirection}'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert read(file) == ()


def test_without_the_extra_the_command_names_what_to_install(file: Path) -> None:
    code = """
import sys
sys.modules["filelock"] = None
sys.argv = ["callers-mcp", "token", "list"]
from callers_mcp.cli import main
main()
"""
    with Pipe(code=code, environment={"CALLERS_HTTP_TOKEN_FILE": str(file)}) as pipe:
        exit_code, errors = pipe.end()
    assert (exit_code, errors.count("\n")) == (2, 1)
    assert "[http]" in errors
