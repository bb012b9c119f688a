"""The simple servers for comparison: a question about one campaign can be answered with each of them."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from tests.evals.__main__ import main
from tests.support.chat_endpoint import Message, calling, endpoint, saying
from tests.support.constants import PATIENCE

PEERS = Path(__file__).with_name("peers")
CAMPAIGN_ID = "6582bf204be1a9d0c8fa8ced"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "names"),
    [
        pytest.param([], ("campaign_id", "sub_organization_id"), id="sdk_raw"),
        pytest.param(["-m", "uv", "run", "--quiet"], ("campaignId", "x-sub-organization-id"), id="fastmcp_openapi"),
    ],
)
def test_a_simple_server_takes_the_place_of_ours(
    command: list[str], names: tuple[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_SYSTEM_CERTS", "1")  # the packages may come through a proxy with an authority of its own
    peer = request.node.callspec.id
    server = [sys.executable, *command, str(PEERS / f"{peer}.py")]
    if "uv" in server:
        _skip_without_packages(server)
    arguments = json.dumps(dict(zip(names, (CAMPAIGN_ID, SUB_ORGANIZATION_ID), strict=True)))

    def answer(messages: list[Message]) -> Message:
        return saying(f"In {json.loads(messages[-1]['content'])['callParams']['timezone']}.")

    with endpoint(lambda _: calling(arguments), answer) as (url, requests):
        options = ["--only", "sub-organization", "--server", shlex.join(server)]
        done = CliRunner().invoke(main, ["--model", "m", "--base-url", url, *options], env={"EVALS_API_KEY": None})
    assert done.exit_code == 0, done.output
    assert [tool["function"]["name"] for tool in requests[0]["tools"]] == ["get_campaign"]
    assert [message["role"] for message in requests[0]["messages"]] == ["user"], "the server has no instructions"
    assert f"- Server: `{shlex.join(server)[:40]}" in done.stdout


def _skip_without_packages(server: list[str]) -> None:
    environment = {"CALLERS_BASE_URL": "http://127.0.0.1:1", "CALLERS_API_KEY": "k"}
    done = subprocess.run(
        server, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | environment
    )
    if done.returncode:
        pytest.skip(f"uv can't install FastMCP: {done.stderr[-200:]}")
