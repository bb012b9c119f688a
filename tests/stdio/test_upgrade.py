"""A server that runs while its installation is upgraded or removed, as when the cache of uvx is cleaned."""

import shutil
from pathlib import Path

import pytest

import callers_mcp
from callers_mcp.server.card import CARD_URI
from tests.support.constants import KEY
from tests.support.stdio_process import Pipe

ADVICE = "callers-mcp was upgraded or removed while it ran; restart the host."
WITHOUT_A_DEPENDENCY = """
import sys
from callers_mcp.cli import main
sys.modules["httpcore2"] = None  # is imported by the first look-up
sys.argv = ["callers-mcp"]
main()
"""


@pytest.mark.slow
def test_a_request_that_needs_what_is_gone_is_answered_with_what_to_do(tmp_path: Path) -> None:
    package = tmp_path / "callers_mcp"
    shutil.copytree(Path(callers_mcp.__file__).parent, package)
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    with Pipe("--sandbox", environment=environment) as pipe:
        pipe.handshake()
        (package / "server/prompts.py").write_text("")  # another version, without what this one needs
        answers = [pipe.ask("prompts/list")]
        shutil.rmtree(package)
        answers += [pipe.ask("prompts/list"), pipe.ask("resources/read", {"uri": CARD_URI})]
        assert pipe.ask("tools/list")["result"]["tools"]
        found = pipe.ask("tools/call", {"name": "find_campaigns", "arguments": {"query": "renewals"}})["result"]
    assert (found["isError"], found["content"][0]["text"]) == (True, ADVICE)
    for answer in answers:
        error = answer["error"]
        assert (error["code"], error["message"]) == (-32603, ADVICE)
        assert error["data"]["callers-mcp/error"]["kind"] == "internal"


def test_a_look_up_that_needs_a_package_that_is_gone_is_answered_with_what_to_do() -> None:
    with Pipe(environment={"CALLERS_API_KEY": KEY}, code=WITHOUT_A_DEPENDENCY) as pipe:
        pipe.handshake()
        result = pipe.call()
    assert result["isError"]
    assert result["content"][0]["text"] == ADVICE
