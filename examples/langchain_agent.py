"""A LangChain agent with the server over stdio: finds a campaign by its name, even if it is misspelt.

LangChain's adapters need version 1 of the package ``mcp``, the server version 2: each has an environment of its own.
The last words start the server. A script takes the place of a real model: ``MODEL=openai:gpt-5.2``.

    python3 -m venv agent && agent/bin/pip install langchain langchain-mcp-adapters
    agent/bin/python examples/langchain_agent.py renewals callers-mcp --sandbox  # or with key and organization id
"""

import asyncio
import os
import sys

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_mcp_adapters.client import MultiServerMCPClient


class Script(GenericFakeChatModel):
    """Does what a model would do: find the campaign, look it up, and answer from the results of the tools."""

    def bind_tools(self, *_: object, **__: object) -> "Script":
        """Accept the tools, which it knows."""
        return self

    def _generate(self, messages: list, *_: object, **__: object) -> object:
        text, calls = "No campaign: none has such a name", []
        match [getattr(each, "artifact", None) or each.text for each in messages[1:] if each.type != "ai"]:
            case [str(name)]:
                calls = [{"name": "find_campaigns", "args": {"query": name}, "id": "1"}]
            case [_, {"structured_content": {"matched": matched, "campaigns": [{"id": found}, *_]}}] if matched:
                calls = [{"name": "get_campaign", "args": {"campaign_id": found}, "id": "2"}]
            case [*_, {"structured_content": {"summary": summary}}]:
                text = "\n- ".join([f"{summary['name']}: {summary['headline']}", *summary["attention"]])
            case [*_, str(problem)]:
                text = f"No campaign: {problem}"
        self.messages = iter([AIMessage(text, tool_calls=calls)])
        return super()._generate(messages)


async def main(name: str, command: str, *arguments: str) -> str:
    """Return the agent's answer."""
    server = {"command": command, "args": arguments, "env": {"CALLERS_LOG_LEVEL": "ERROR"} | os.environ}
    tools = await MultiServerMCPClient({"callers": {"transport": "stdio", **server}}).get_tools()
    if "find_campaigns" not in [tool.name for tool in tools]:
        return "No campaign: set CALLERS_API_KEY and CALLERS_ORGANIZATION_ID, or use --sandbox"
    task = "Say how the campaign is doing. If that fails, say 'No campaign: ' and the reason."
    agent = create_agent(os.getenv("MODEL") or Script(messages=iter(())), tools, system_prompt=task)
    return str((await agent.ainvoke({"messages": [("user", name)]}))["messages"][-1].text)


try:
    result = asyncio.run(main(*sys.argv[1:])) if sys.argv[2:] else sys.exit((__doc__ or "").strip())
except Exception as error:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the cause
    result = f"No campaign: {' '.join(str(error).split())}"
sys.exit(result) if result.startswith("No campaign: ") else print(result)
