// Drives the MCP client of the AI SDK.

import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as StdioTransport } from '@ai-sdk/mcp/mcp-stdio';
import { cancelled, expect, prompt, run, server, stdio, uri } from './harness.mjs';

const transport = stdio
  ? new StdioTransport({ command: server.command, args: server.args, env: server.env })
  : { type: 'http', url: server.url, headers: server.headers };
const client = await createMCPClient({ transport });
const tools = await client.tools();

function call(id, abortSignal) {
  return tools.get_campaign.execute({ campaign_id: id }, { toolCallId: '1', messages: [], abortSignal });
}

await run({
  tools: async () => expect('get_campaign', Object.keys(tools)),
  calls: async () => expect(server.name, (await call(server.id)).content),
  structured: async () => expect(server.name, (await call(server.id)).structuredContent.summary),
  prompts: async () => {
    expect(prompt.name, await client.listPrompts());
    expect(server.name, await client.getPrompt(prompt));
  },
  resources: async () => expect(server.name, await client.readResource({ uri })),
  completion: async () => {
    const argument = { name: 'campaign', value: server.name.slice(0, 4) };
    expect(server.id, await client.complete({ ref: { type: 'ref/prompt', name: prompt.name }, argument }));
  },
  progress: null,
  cancellation: () => cancelled((signal) => call(server.held, signal), () => call(server.id)),
});
