"""The examples of PydanticAI agents and of a client for a hosted server.

The agents need no account: a script gives the answers of the model. All of these tests are in one module, so that
one test process imports PydanticAI, which takes seconds.
"""

from collections.abc import Iterator

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import add
from tests.support.constants import SAMPLE_ID
from tests.support.example_runs import run_here, run_process
from tests.support.hosted_server import Hosted

SPRING_RENEWALS = "Sample: Spring renewals: Running outbound campaign"


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hosted, str]]:
    """A hosted server over the sample campaigns, and a token for it."""
    tokens = tmp_path_factory.mktemp("hosted") / "tokens.json"
    token = add(tokens, "my-agent", AllowedOrganizations.parse(["main"]))
    settings = {"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": str(tokens)}
    with Hosted("--sandbox", environment=settings) as server:
        yield server, token


def test_a_client_looks_up_a_campaign_on_a_hosted_server(hosted: tuple[Hosted, str]) -> None:
    server, token = hosted
    code, out, errors = run_process("hosted_look_up.py", server.url, SAMPLE_ID, environment={"TOKEN": token})
    assert (code, errors) == (0, "")
    assert out.startswith("Running outbound campaign")


def test_an_agent_over_http_finds_and_looks_up_a_campaign(hosted: tuple[Hosted, str]) -> None:
    server, token = hosted
    code, out, errors = run_here("pydantic_ai_http.py", server.url, environment={"TOKEN": token})
    assert (code, errors) == (0, "")
    assert out.startswith(SPRING_RENEWALS)
    assert token not in out


def test_an_agent_over_http_needs_a_valid_token(hosted: tuple[Hosted, str]) -> None:
    server, _ = hosted
    assert run_here("pydantic_ai_http.py", server.url)[0] == 2
    wrong = {"TOKEN": "callers_mcp_" + "0" * 64}
    code, _, errors = run_here("pydantic_ai_http.py", server.url, environment=wrong)
    assert code == 1
    assert "This token is unknown or was revoked." in errors


def test_an_agent_over_stdio_lists_what_needs_attention() -> None:
    code, out, errors = run_here("pydantic_ai_stdio.py", "--sandbox", "Sample: Win-back")
    assert (code, errors) == (0, "")
    assert "- It is active, but has a completion time." in out.splitlines()


def test_an_agent_over_stdio_reports_that_it_found_no_campaign() -> None:
    code, out, _ = run_here("pydantic_ai_stdio.py", "--sandbox", "zzzzqqq xxyyx")
    assert code == 0
    assert out.startswith("I found no such campaign")


@pytest.mark.slow
def test_the_agents_run_from_a_shell(hosted: tuple[Hosted, str]) -> None:
    server, token = hosted
    for code, out, errors in (
        run_process("pydantic_ai_stdio.py", "--sandbox"),
        run_process("pydantic_ai_http.py", server.url, environment={"TOKEN": token}),
    ):
        assert (code, errors) == (0, "")
        assert out.startswith(SPRING_RENEWALS)
        assert token not in out
