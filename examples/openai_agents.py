"""An agent of the OpenAI Agents SDK with the server over stdio: finds a campaign by its name, even if it is misspelt.

    pip install . openai-agents  # in a checkout of callers-mcp
    python examples/openai_agents.py "sprng renewal" callers-mcp --sandbox

The last words start the server. A script takes the place of a real model: ``MODEL=gpt-5.2 OPENAI_API_KEY=...``.
"""

import asyncio
import json
import os
import sys

from agents import Agent, Model, ModelResponse, Runner, Tool, Usage, set_tracing_disabled
from agents.mcp import MCPServerStdio
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class Script(Model):
    """Does what a model would do: find the campaign, look it up, and answer from the results of the tools."""

    stream_response: object = None  # not used here

    async def get_response(self, *_: object, tools: list[Tool], **given: object) -> ModelResponse:
        """Return the next call, or the answer."""
        name, arguments, text = "", {}, "No campaign: set CALLERS_API_KEY and CALLERS_ORGANIZATION_ID, or use --sandbox"
        outputs = [item["output"] for item in given["input"] if "output" in item]
        match [json.loads(each) if isinstance(each, str) else each[0] for each in outputs]:
            case [] if "find_campaigns" in [tool.name for tool in tools]:
                name, arguments = "find_campaigns", {"query": given["input"][0]["content"], "limit": 1}
            case [{"matched": matched, "campaigns": [{"id": campaign_id}]}] if matched:
                name, arguments = "get_campaign", {"campaign_id": campaign_id}
            case [*_, {"summary": {"name": campaign, "headline": headline, "attention": attention}}]:
                text = "\n- ".join([f"{campaign}: {headline}", *attention])
            case [*_, last]:
                text = "No campaign: " + last.get("text", "none has such a name")
        call = ResponseFunctionToolCall(type="function_call", call_id=name, name=name, arguments=json.dumps(arguments))
        part = ResponseOutputText(type="output_text", text=text, annotations=[])
        answer = ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])
        return ModelResponse([call if name else answer], Usage(), None)


async def main(name: str, command: str, *arguments: str) -> str:
    """Return the agent's answer."""
    server = {"command": command, "args": arguments, "env": {"CALLERS_LOG_LEVEL": "ERROR"} | os.environ}
    async with MCPServerStdio(server, use_structured_content=True, client_session_timeout_seconds=60) as tools:
        task = "Say how the campaign is doing. If that fails, say 'No campaign: ' and the reason."
        agent = Agent("campaigns", instructions=task, model=os.getenv("MODEL") or Script(), mcp_servers=[tools])
        return str((await Runner.run(agent, name)).final_output)


set_tracing_disabled(True)
try:
    result = asyncio.run(main(*sys.argv[1:])) if sys.argv[2:] else sys.exit((__doc__ or "").strip())
except Exception as error:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the cause
    result = f"No campaign: {' '.join(str(error).split())}"
sys.exit(result) if result.startswith("No campaign: ") else print(result)
