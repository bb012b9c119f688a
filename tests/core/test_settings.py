"""Every setting: its default, what it takes, the message if it is wrong, and what it does."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from callers_mcp import Settings, logs
from callers_mcp.cli.commands import callers_mcp
from callers_mcp.cli.runtime import load_settings
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from callers_mcp.settings import SettingsError, is_placeholder
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.command_line import run
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.lookups import call, connect, failure, found, look_up, told

SUB = "66a0c0ffee0000000000beef"
DEFAULTS: dict[str, Any] = {
    "api_key": None,
    "api_key_file": None,
    "base_url": "https://api.callers.ai",
    "sub_organization_id": None,
    "sub_organizations": None,
    "organization_id": None,
    "timeout": 30,
    "max_attempts": 3,
    "max_connections": 100,
    "max_body_bytes": 1_048_576,
    "list_max_body_bytes": 16_777_216,
    "list_cache_seconds": 60,
    "log_level": "INFO",
    "redact_urls": False,
}
VARIABLES = [f"CALLERS_{field.upper()}" for field in DEFAULTS]
KEYS_AND_ORGANIZATIONS = ("API_KEY", "API_KEY_FILE", "SUB_ORGANIZATION_ID", "SUB_ORGANIZATIONS")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(fault.answer(campaign())) as server:
        yield server


def set_all(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.parametrize("value", [None, "", "  \t"], ids=["unset", "empty", "blank"])
def test_a_setting_that_is_not_given_has_its_default(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    settings = set_all(monkeypatch, {} if value is None else dict.fromkeys(VARIABLES, value))
    assert settings.model_dump() == DEFAULTS
    assert settings.unresolved == settings.notices == ()


@pytest.mark.parametrize(
    ("variable", "value", "field", "read"),
    [
        ("BASE_URL", " https://api.example/v1/ ", "base_url", "https://api.example/v1"),
        ("BASE_URL", "http://127.0.0.1:8080", "base_url", "http://127.0.0.1:8080"),
        ("BASE_URL", "http://localhost", "base_url", "http://localhost"),
        ("BASE_URL", "http://[::1]:80/", "base_url", "http://[::1]:80"),
        ("SUB_ORGANIZATION_ID", "MAIN", "sub_organization_id", "main"),
        ("SUB_ORGANIZATIONS", f" {SUB} ,Main, ", "sub_organizations", (SUB, "main")),
        ("ORGANIZATION_ID", f" {SUB} ", "organization_id", SUB),
        ("TIMEOUT", "0.5", "timeout", 0.5),
        ("TIMEOUT", "600", "timeout", 600),
        ("MAX_ATTEMPTS", "10", "max_attempts", 10),
        ("MAX_CONNECTIONS", "1", "max_connections", 1),
        ("MAX_BODY_BYTES", "1024", "max_body_bytes", 1024),
        ("LIST_MAX_BODY_BYTES", "268435456", "list_max_body_bytes", 268_435_456),
        ("LIST_CACHE_SECONDS", "0", "list_cache_seconds", 0),
        ("LIST_CACHE_SECONDS", "3600", "list_cache_seconds", 3600),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("REDACT_URLS", "on", "redact_urls", True),
        ("REDACT_URLS", "true", "redact_urls", True),
        ("REDACT_URLS", "off", "redact_urls", False),
    ],
)
def test_a_setting_is_read(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, read: Any) -> None:
    assert getattr(set_all(monkeypatch, {f"CALLERS_{variable}": value}), field) == read


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("API_KEY", "key with é"),
        ("API_KEY", "two\nlines"),
        ("API_KEY", "a\x7fb"),
        ("BASE_URL", "http://api.example"),
        ("BASE_URL", "http://127.0.0.1.example"),
        ("BASE_URL", "http://localhost.example"),
        ("BASE_URL", "ftp://127.0.0.1"),
        ("BASE_URL", "api.callers.ai"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://user@api.example"),
        ("BASE_URL", "https://user:password@api.example"),
        ("BASE_URL", "https://api.example?x=1"),
        ("BASE_URL", "https://api.example/#x"),
        ("BASE_URL", "https://api.example/a b"),
        ("BASE_URL", "https://api.example:0"),
        ("BASE_URL", "https://api.example:99999"),
        ("BASE_URL", "https://[::1"),
        ("BASE_URL", "https://1.2.3.999"),
        ("BASE_URL", "https://[::1]x"),
        ("SUB_ORGANIZATION_ID", "a b"),
        ("SUB_ORGANIZATION_ID", "é"),
        ("SUB_ORGANIZATION_ID", "s" * 129),
        ("SUB_ORGANIZATIONS", ","),
        ("ORGANIZATION_ID", "a b"),
        ("ORGANIZATION_ID", "main"),
        ("ORGANIZATION_ID", SUB[:-1]),
        ("SUB_ORGANIZATIONS", "a b,main"),
        ("TIMEOUT", "0"),
        ("TIMEOUT", "601"),
        ("TIMEOUT", "nan"),
        ("TIMEOUT", "inf"),
        ("TIMEOUT", "30s"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_ATTEMPTS", "2.5"),
        ("MAX_CONNECTIONS", "0"),
        ("MAX_BODY_BYTES", "1 MiB"),
        ("MAX_BODY_BYTES", "1023"),
        ("LIST_MAX_BODY_BYTES", "268435457"),
        ("LIST_CACHE_SECONDS", "-1"),
        ("LIST_CACHE_SECONDS", "inf"),
        ("LOG_LEVEL", "LOUD"),
        ("REDACT_URLS", "perhaps"),
    ],
)
def test_a_wrong_value_stops_the_program_with_one_line_that_says_which_variable_and_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    with pytest.raises(SystemExit) as end:
        set_all(monkeypatch, {f"CALLERS_{variable}": value})
    assert end.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert f"CALLERS_{variable} " in line
    described = Settings.model_fields[variable.lower()].description
    assert described
    assert described in line


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"API_KEY": "a", "API_KEY_FILE": "/a/key"}, ["CALLERS_API_KEY", "CALLERS_API_KEY_FILE", "not both"]),
        (
            {"SUB_ORGANIZATION_ID": "other", "SUB_ORGANIZATIONS": f"{SUB},main"},
            ["CALLERS_SUB_ORGANIZATION_ID", "one of", "CALLERS_SUB_ORGANIZATIONS"],
        ),
        ({"TIMEOUT": "x", "MAX_ATTEMPTS": "y"}, ["CALLERS_TIMEOUT", "CALLERS_MAX_ATTEMPTS"]),
    ],
)
def test_settings_that_contradict_each_other_are_named_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environment: dict[str, str], named: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        set_all(monkeypatch, {f"CALLERS_{name}": value for name, value in environment.items()})
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in named)


def test_a_server_with_a_wrong_setting_exits_with_2_and_one_line() -> None:
    code, out, errors = run(environment={"CALLERS_TIMEOUT": "soon"})
    assert (code, out) == (2, "")
    (line,) = errors.splitlines()
    assert "CALLERS_TIMEOUT" in line


@pytest.mark.parametrize("arguments", [("get", ID), ("check",)], ids=["get", "check"])
def test_a_command_with_a_wrong_setting_exits_with_2_and_one_line(arguments: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(callers_mcp, arguments, env={"CALLERS_TIMEOUT": "soon"})
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "CALLERS_TIMEOUT" in line


def test_a_server_warns_about_an_unknown_variable_and_a_placeholder(
    log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLERS_API_KEYS", KEY)
    monkeypatch.setenv("CALLERS_TIMEOUT", "${user_config.timeout}")
    logs.configure(load_settings())
    lines = log().splitlines()
    assert len(lines) == 2
    assert any("CALLERS_API_KEYS" in line and "did you mean CALLERS_API_KEY?" in line for line in lines)
    assert any("CALLERS_TIMEOUT holds a placeholder" in line for line in lines)


@pytest.mark.parametrize(
    ("unknown", "near"), [("CALLERS_BASEURL", "CALLERS_BASE_URL"), ("CALLERS_ZZZZZZZZZZZZZZZ", None)]
)
def test_an_unknown_variable_is_reported_with_the_closest_name(
    monkeypatch: pytest.MonkeyPatch, unknown: str, near: str | None
) -> None:
    (notice,) = set_all(monkeypatch, {unknown: "x"}).notices
    assert unknown in notice
    assert ("did you mean" in notice) == (near is not None)
    assert near is None or near in notice


@pytest.mark.parametrize(
    "variable", ["CALLERS_HTTP_AUTH", "CALLERS_API_SERVICE_HOST", "CALLERS_API_PORT_443_TCP_ADDR", "CALLERS_API_PORT"]
)
def test_variables_of_a_hosted_server_and_of_kubernetes_are_not_reported(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert set_all(monkeypatch, {variable: "x"}).notices == ()


def test_the_sandbox_replaces_the_key_the_url_and_the_organizations_of_a_real_account(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    set_all(monkeypatch, {f"CALLERS_{name}": SUB for name in (*KEYS_AND_ORGANIZATIONS[::2], "ORGANIZATION_ID")})
    settings = load_settings(sandbox).model_dump(exclude_defaults=True)
    assert settings.pop("api_key").get_secret_value() == API_KEY
    assert settings == {"base_url": sandbox.base_url, "organization_id": ORGANIZATION_ID}


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_a_value_are_named_and_never_taken_for_a_part_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quote: str
) -> None:
    """Docker's --env-file keeps them; with a quoted id, every caller would see the main organization's campaigns."""
    for variable in VARIABLES:
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            set_all(patch, {variable: f"{quote}{SUB}{quote}"})
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{variable} has quotes around the value" in line
    monkeypatch.setenv("CALLERS_SUB_ORGANIZATIONS", f"main, {quote}{SUB}{quote}")
    with pytest.raises(SettingsError, match="CALLERS_SUB_ORGANIZATIONS has quotes"):
        Settings.from_environment()


PLACEHOLDERS = [
    *("${API_KEY}", "${user_config.api_key}", "$KEY", "%KEY%", "{{key}}", "<key>", "{api_key}", "$env:API_KEY"),
    *("${env:API_KEY}", "${{ secrets.KEY }}", "{env:KEY}", "$(KEY)", "#{KEY}#", "__KEY__", "[your key]", "$HOME/key"),
    *("%APPDATA%\\key", "op://vault/callers/key", "vault://callers#key", "@Microsoft.KeyVault(SecretUri=https://a)"),
    *(
        "YOUR_API_KEY",
        "your-api-key-here",
        "API_KEY",
        "INSERT_KEY_HERE",
        "change_me",
        "xxxxxxxx",
        "...",
        "****",
        "main,<id>",
    ),
]


@pytest.mark.parametrize("value", ["sk-live-0a1B2c", "my-org", "x", "[::1]", "key:with{brace", "a.b.c", "/srv/api_key"])
def test_what_may_be_a_value_is_not_taken_for_a_placeholder(value: str) -> None:
    assert not is_placeholder(value)


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_that_a_host_left_is_never_used_as_a_value(
    monkeypatch: pytest.MonkeyPatch, placeholder: str
) -> None:
    settings = set_all(monkeypatch, dict.fromkeys(VARIABLES, placeholder))
    assert settings.model_dump() == DEFAULTS
    assert settings.unresolved == tuple(f"CALLERS_{name}" for name in KEYS_AND_ORGANIZATIONS)
    others = [name for name in VARIABLES if name not in settings.unresolved]
    assert [notice.split()[0] for notice in settings.notices] == others


async def test_a_key_file_is_stripped_and_read_again_when_it_changes(server: FaultServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\n first-key \r\n")
    async with connect(server, api_key=None, api_key_file=file) as client:
        found(await call(client))
        file.write_text("the-second-key\n")
        found(await call(client))
        file.unlink()
        gone = await call(client)
        file.write_text("third-key-of-all")
        found(await call(client))
    assert failure(gone)["kind"] == "not_configured"
    sent = [request.values("authorization") for request in server.requests]
    assert sent == [["first-key"], ["the-second-key"], ["third-key-of-all"]]


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two\nlines", b"k\x00e\x00y\x00", "kéy".encode(), b'"key"'])
async def test_a_key_file_without_a_usable_key_is_reported_as_the_operators_problem(
    server: FaultServer, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "key"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    result = await look_up(server, api_key=None, api_key_file=file)
    assert failure(result)["kind"] == "not_configured"
    assert "CALLERS_API_KEY_FILE" in told(result)
    assert server.requests == []


@pytest.mark.parametrize(
    ("allowed", "default", "named", "looked_into"),
    [
        (f"{SUB},main", None, SUB, [SUB]),
        (f"{SUB},main", None, None, []),
        (f"{SUB},main", SUB, "main", []),
        (SUB, SUB, None, [SUB]),
        (f"{SUB},MAIN", None, "Main", []),
        (f"{SUB},main", None, "other", None),
        (f"{SUB},main", SUB, SUB.upper(), None),
        (SUB, None, None, [SUB]),
        (f"{SUB},other", None, None, None),
        (SUB, SUB, "main", None),
        ("main", None, SUB, None),
    ],
)
async def test_only_the_listed_organizations_are_looked_into(
    server: FaultServer, allowed: str, default: str | None, named: str | None, looked_into: list[str] | None
) -> None:
    result = await look_up(server, named, sub_organizations=allowed, sub_organization_id=default)
    if looked_into is None:
        assert (failure(result)["kind"], failure(result)["retryable"]) == ("forbidden", False)
        assert (named or "has to name an organization").lower() in told(result).lower()
        assert allowed.replace(",", ", ") in told(result)
        assert server.requests == []
    else:
        found(result)
        assert [request.values("x-sub-organization-id") for request in server.requests] == [looked_into]


async def test_ids_that_no_call_can_give_are_still_read_from_the_settings(server: FaultServer) -> None:
    odd = "acme.eu/u:1"
    found(await look_up(server, sub_organization_id=odd, sub_organizations=f"{odd},main"))
    assert server.requests[-1].values("x-sub-organization-id") == [odd]


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(SettingsError, match="sub_organisations is not a setting"):
        Settings.from_environment(sub_organisations="main")
