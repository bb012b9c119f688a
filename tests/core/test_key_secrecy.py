"""The key is never shown: not in answers, logs or errors, even if the API echoes it."""

import base64
import html
import json
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import CallToolResult

from callers_mcp import CallersClient, Settings, logs
from callers_mcp.api.errors import CallersError
from callers_mcp.api.key import KeySource
from callers_mcp.api.key_mask import mask
from callers_mcp.api.request import CampaignRequest
from callers_mcp.settings import SettingsError
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.key_leaks import ESCAPED, MASK, WALK, secret_parts
from tests.support.lookups import call, connect, failure, look_up
from tests.support.stand_in_api import KNOWN


def checked(result: CallToolResult, kind: str) -> None:
    """Check that a look-up failed as expected, and that the result contains no part of the key."""
    assert failure(result)["kind"] == kind
    assert not secret_parts(result.model_dump_json())


def check_log(log: str, *expected: str) -> None:
    assert [part for part in expected if part not in log] == [], log
    assert not secret_parts(log)


@pytest.mark.slow
async def test_no_answer_of_the_api_makes_a_process_show_the_key(
    stdio_server: Callable[..., StdioServerParameters], tmp_path: Path
) -> None:
    environment = {"CALLERS_API_KEY": KEY, "CALLERS_LOG_LEVEL": "DEBUG", "CALLERS_MAX_ATTEMPTS": "2"}
    walked = {}
    with FaultServer() as server, (tmp_path / "stderr").open("w") as stderr:
        parameters = stdio_server(CALLERS_BASE_URL=server.base_url, CALLERS_KEY=KEY, **environment)
        async with Client(stdio_client(parameters, errlog=stderr)) as client:
            for name, (behaviour, _) in WALK.items():
                server.script(behaviour)
                result = await call(client)
                walked[name] = failure(result)["kind"], secret_parts(result.model_dump_json())
                assert server.requests[0].values("authorization") == [KEY]
    assert walked == {name: (kind, []) for name, (_, kind) in WALK.items()}
    log = (tmp_path / "stderr").read_text()
    check_log(log, *(f"outcome={kind}" for _, kind in WALK.values()), "DEBUG", "CALLERS_KEY is not a setting")


@pytest.fixture
def debug_log(log: Callable[[], str]) -> Callable[[], str]:
    """Configure logging like a server with the key, at DEBUG; return a function that returns the log."""
    logs.configure(Settings.from_environment(api_key=KEY, log_level="DEBUG"))
    return log


async def test_a_failed_connection_does_not_show_the_key(debug_log: Callable[[], str]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    with FaultServer(tls=tls) as server:
        async with connect(server, max_attempts=2) as client:
            checked(await call(client), "unreachable")
            server.stop()
            checked(await call(client), "unreachable")
    check_log(debug_log(), "outcome=unreachable attempts=1", "outcome=unreachable attempts=2")


async def test_a_wrong_setting_does_not_show_the_key(debug_log: Callable[[], str]) -> None:
    async with connect("http://127.0.0.1:1", sub_organization_id="${SUB}") as client:
        checked(await call(client), "not_configured")
    check_log(debug_log(), "outcome=not_configured")


async def test_a_failure_in_the_server_does_not_show_the_key(
    debug_log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"on purpose, with {KEY}")

    monkeypatch.setattr("callers_mcp.campaign.lookup.summarize", broken)
    with FaultServer(KNOWN, fault.silent) as server:
        async with connect(server, sub_organizations="main") as client:
            checked(await call(client), "internal")
            checked(await call(client, sub_organization_id="elsewhere"), "forbidden")
            checked(await call(client, campaign_id="no id"), "invalid_arguments")
        async with connect(server, timeout=0.2) as client:
            checked(await call(client), "timeout")
    check_log(debug_log(), "Traceback", f"on purpose, with {MASK}", "outcome=timeout", "outcome=forbidden")


@pytest.mark.parametrize(
    "echo",
    [
        {"name": f"for {KEY}"},
        {"organizationId": KEY},
        {"webhooks": [f"https://hooks.example/{KEY}"], "slackUrl": f"https://{KEY}.example/"},
        {"variables": [KEY], "callParams": {"timezone": KEY, "daysOfWeek": [KEY], "language": KEY}},
        {"new": {"nested": [{KEY: 1}]}},
        {KEY: 1},
    ],
)
@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
async def test_a_campaign_that_echoes_the_key_is_masked_and_says_so(echo: dict[str, Any], escaped: bool) -> None:
    body = json.dumps(campaign(**echo))
    with FaultServer(fault.answer((body.replace(KEY, ESCAPED) if escaped else body).encode())) as server:
        result = await look_up(server)
    shown = result.model_dump_json()
    assert not secret_parts(shown)
    assert MASK in shown
    assert result.structured_content
    assert any("held the API key" in sentence for sentence in result.structured_content["summary"]["worth_checking"])


ODD_KEY = 'Planted&Key/"7f3<aQ+9z'


def _encoded_forms(key: str) -> dict[str, str]:
    digits = [ord(character) for character in key]
    return {
        "percent": "".join(f"%{code:02X}" for code in digits),
        "percent in part": quote(key, safe=""),
        "percent, lower case": key[:3] + "".join(f"%{code:02x}" for code in digits[3:]),
        "HTML": html.escape(key),
        "HTML decimal": "".join(f"&#{code};" for code in digits),
        "HTML hexadecimal": "".join(f"&#x{code:04X};" for code in digits),
        "JSON": json.dumps(key)[1:-1],
        "JSON with slashes": json.dumps(key)[1:-1].replace("/", r"\/"),
        "JSON code points": "".join(f"\\u{code:04x}" for code in digits),
        "base64": base64.b64encode(key.encode()).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(key.encode()).decode(),
        "base64, percent": quote(base64.b64encode(key.encode()).decode(), safe=""),
        **{
            f"Basic {user or 'without a user'}": base64.b64encode(f"{user}:{key}".encode()).decode()
            for user in ("", "u", "me", "user")
        },
        "Basic as the user": base64.b64encode(f"{key}:".encode()).decode(),
        "Basic with a password": base64.b64encode(f"{key}:password".encode()).decode(),
    }


@pytest.mark.parametrize("key", [KEY, ODD_KEY])
async def test_a_key_that_comes_back_encoded_is_masked(key: str) -> None:
    with FaultServer() as server:
        async with connect(server, api_key=key) as client:
            for name, form in _encoded_forms(key).items():
                texts = [f"for {form}", f"https://hooks.example/?a={form}&b=1"]
                server.script(fault.answer(campaign(name=texts[0], webhooks=texts)), fault.error(400, f"no {form}, OK"))
                shown = [result.model_dump_json() for result in (await call(client), await call(client))]
                half = json.dumps(form[len(form) // 3 : len(form) // 3 * 2])[1:-1]
                for text in shown:
                    assert half not in text, name
                    assert MASK in text, name


@pytest.mark.parametrize(
    "text",
    ["a%20b&amp;c=1&#45;d", "%", "%zz%%50", f"&#{'9' * 5_000};", "&#x;", "\\u00", "\\", "UGxhbnRl", "a" * 99],
)
def test_other_encoded_text_stays_as_it_is(text: str) -> None:
    assert mask(text, KEY) == text
    assert mask(text, "") == text


@pytest.mark.parametrize("name", ["X-Echo", "Set-Cookie", "Content-Type", "Server"])
async def test_a_key_in_the_headers_of_an_answer_is_not_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "callers_mcp")
    with FaultServer(fault.answer(campaign(), headers=[(name, KEY)]), fault.error(400, "no", [(name, KEY)])) as server:
        async with connect(server) as client:
            for _ in range(2):
                assert not secret_parts((await call(client)).model_dump_json())
    assert not secret_parts(caplog.text)


@pytest.mark.parametrize(
    "behaviour",
    [
        fault.error(400, f"{KEY[:9]}\u200b{KEY[9:]}"),
        fault.answer(campaign(name=f"{KEY[:9]}\u200b{KEY[9:]}")),
    ],
    ids=["message", "name"],
)
async def test_removing_invisible_characters_does_not_join_the_parts_of_the_key(behaviour: Behaviour) -> None:
    with FaultServer(behaviour) as server:
        result = await look_up(server)
    assert KEY not in result.model_dump_json()


@pytest.mark.parametrize("redact_urls", [False, True])
@pytest.mark.parametrize("between", ["\n", "\r", "\t"])
async def test_parsing_a_url_does_not_join_the_parts_of_the_key(between: str, redact_urls: bool) -> None:
    """Python's ``urlsplit`` removes line breaks and tabs."""
    host = f"{KEY[:9]}{between}{KEY[9:]}.example"
    with FaultServer(fault.answer(campaign(webhooks=[f"https://{host}/x", f"http://{host}/x"]))) as server:
        result = await look_up(server, redact_urls=redact_urls)
    assert not result.is_error
    assert KEY.lower() not in result.model_dump_json().lower()


@pytest.mark.parametrize(
    "arguments",
    [
        {"campaign_id": KEY},
        {"sub_organization_id": KEY},
        {KEY: "x"},
        # A quotation of these ends inside the key.
        {"campaign_id": "x" * 45 + KEY},
        {"sub_organization_id": "x " * 22 + KEY},
        {"x" * 45 + KEY: "x"},
    ],
)
async def test_a_key_that_is_passed_as_an_argument_is_not_repeated(arguments: dict[str, str]) -> None:
    with FaultServer(fault.error(404)) as server:
        async with connect(server) as client:
            result = await call(client, **arguments)
    assert result.is_error
    assert not secret_parts(result.model_dump_json())


@pytest.mark.parametrize("given", [KEY, KEY.upper(), f"sub-{KEY}"])
async def test_a_key_that_is_passed_as_a_sub_organization_is_refused_and_nothing_is_sent(given: str) -> None:
    with FaultServer(KNOWN) as server:  # would return the campaign, and the summary names the sub-organization
        result = await look_up(server, given)
    checked(result, "invalid_arguments")
    assert server.requests == []


async def test_no_object_with_the_key_shows_it_as_text(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    settings = Settings.from_environment(api_key=KEY, base_url="http://127.0.0.1:1", max_attempts=1)
    from_file = Settings.from_environment(api_key_file=file)
    keys = KeySource(from_file)
    assert keys.current() == KEY
    client = CallersClient(settings)
    lookup = CampaignRequest(ID, None, KEY, "CALLERS_API_KEY")
    with pytest.raises(CallersError) as refused:
        async with client:
            await client.get_campaign(ID)
    for shown in (settings, from_file, keys, client, lookup, refused.value, settings.model_dump(), vars(refused.value)):
        assert not secret_parts(repr(shown) + str(shown))


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": f"{KEY}\n{KEY}"},
        {"api_key": f"{KEY}é"},
        {"api_key": KEY, "api_key_file": "key"},
        {"api_key": KEY, "timeout": KEY},
        {"api_key": KEY, "base_url": f"https://{KEY}@api.example"},
        {"api_key": KEY, "sub_organizations": f"a b, {KEY}"},
        {"api_key": KEY, "log_level": KEY},
    ],
)
def test_a_refused_setting_is_not_quoted(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(**wrong)
    assert not secret_parts(str(refused.value) + repr(refused.value))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
