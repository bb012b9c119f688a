"""The examples of PydanticAI agents and of a client for a hosted server.

The agents need no account: a script gives the answers of the model. All of these tests are in one module, so that
one test process imports PydanticAI, which takes seconds.
"""

from collections.abc import Iterator

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import add
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from tests.support.constants import SAMPLE_ID
from tests.support.example_runs import run_here, run_process
from tests.support.hosted_thread import HostedThread

SPRING_RENEWALS = "Sample: Spring renewals: Running outbound campaign"
UNKNOWN_TOKEN = "callers_mcp_" + "0" * 64
URL = "URL of the server"
"""Stands for the URL in the arguments of a case."""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """The URL of a hosted server over the sample campaigns, and a token for it."""
    tokens = tmp_path_factory.mktemp("hosted") / "tokens.json"
    token = add(tokens, "my-agent", AllowedOrganizations.parse(["main"]))
    settings = {
        "CALLERS_HTTP_AUTH": "tokens",
        "CALLERS_HTTP_TOKEN_FILE": str(tokens),
        "CALLERS_BASE_URL": sandbox.base_url,
        "CALLERS_API_KEY": API_KEY,
        "CALLERS_ORGANIZATION_ID": ORGANIZATION_ID,
    }
    with HostedThread(environment=settings) as server:
        yield server.url, token


def test_a_client_looks_up_a_campaign_on_a_hosted_server(hosted: tuple[str, str]) -> None:
    url, token = hosted
    code, out, errors = run_here("hosted_look_up.py", url, SAMPLE_ID, environment={"TOKEN": token})
    assert (code, errors) == (0, "")
    assert out.startswith("Running outbound campaign")


@pytest.mark.slow
def test_an_agent_over_http_finds_and_looks_up_a_campaign(hosted: tuple[str, str]) -> None:
    url, token = hosted
    code, out, errors = run_here("pydantic_ai_http.py", url, environment={"TOKEN": token})
    assert (code, errors) == (0, "")
    assert out.startswith(SPRING_RENEWALS)
    assert token not in out


@pytest.mark.slow
def test_an_agent_over_stdio_lists_what_needs_attention() -> None:
    code, out, errors = run_here("pydantic_ai_stdio.py", "--sandbox", "Sample: Win-back")
    assert (code, errors) == (0, "")
    assert "- It is active, but has a completion time." in out.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "arguments", "token", "reason"),
    [
        ("hosted_look_up.py", [URL, SAMPLE_ID], UNKNOWN_TOKEN, "This token is unknown or was revoked."),
        ("hosted_look_up.py", [URL, "0" * 24], "", "0" * 24),
        ("hosted_look_up.py", ["nonsense", SAMPLE_ID], "", "http://"),
        ("pydantic_ai_http.py", [URL], UNKNOWN_TOKEN, "This token is unknown or was revoked."),
        ("pydantic_ai_http.py", [URL, "autumn survay zebra"], "", "no campaign has such a name"),
        ("pydantic_ai_http.py", ["http://127.0.0.1:9/mcp"], "", "connect"),
        pytest.param(
            *("pydantic_ai_stdio.py", ["--sandbox", "autumn survay zebra"], "", "no campaign has such a name"),
            marks=pytest.mark.slow,
        ),
        ("pydantic_ai_stdio.py", [], "", "set CALLERS_API_KEY and CALLERS_ORGANIZATION_ID"),
    ],
)
def test_a_failure_is_one_line_that_says_why(
    hosted: tuple[str, str], example: str, arguments: list[str], token: str, reason: str
) -> None:
    url, valid = hosted
    arguments = [url if argument == URL else argument for argument in arguments]
    code, out, errors = run_here(example, *arguments, environment={"TOKEN": token or valid})
    assert (code, out) == (1, "")
    assert errors.startswith("No campaign was looked up: ")
    assert reason in errors
    assert len(errors.splitlines()) == 1


def test_an_agent_over_http_needs_a_token(hosted: tuple[str, str]) -> None:
    for environment in ({}, {"TOKEN": ""}):  # a secret that is not set is often empty
        code, _, errors = run_here("pydantic_ai_http.py", hosted[0], environment=environment)
        assert code == 2
        assert errors.splitlines()[-1].endswith("set TOKEN to a bearer token for the server")
        code, _, errors = run_here("hosted_look_up.py", hosted[0], SAMPLE_ID, environment=environment)
        assert (code, "TOKEN=..." in errors) == (1, True)


@pytest.mark.slow
def test_the_examples_run_from_a_shell(hosted: tuple[str, str]) -> None:
    url, token = hosted
    for code, out, errors in (
        run_process("hosted_look_up.py", url, SAMPLE_ID, environment={"TOKEN": token}),
        run_process("pydantic_ai_stdio.py", "--sandbox"),
        run_process("pydantic_ai_http.py", url, environment={"TOKEN": token}),
    ):
        assert (code, errors) == (0, "")
        assert "Running outbound campaign" in out
        assert token not in out


@pytest.mark.slow
@pytest.mark.parametrize("example", ["hosted_look_up.py", "pydantic_ai_http.py"])
def test_a_server_that_does_not_answer_is_one_line(example: str) -> None:
    code, _, errors = run_process(example, "http://127.0.0.1:9/mcp", SAMPLE_ID, environment={"TOKEN": UNKNOWN_TOKEN})
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "connect" in errors
