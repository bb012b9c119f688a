// Drives the clients of the TypeScript SDK: version 1 (the second argument is 1) and version 2.

import { cancelled, expect, prompt, run, server, stdio, uri } from './harness.mjs';

const first = process.argv[3] === '1';
const { Client } = await import(first ? '@modelcontextprotocol/sdk/client/index.js' : '@modelcontextprotocol/client');
let transport;
if (stdio) {
  const path = first ? '@modelcontextprotocol/sdk/client/stdio.js' : '@modelcontextprotocol/client/stdio';
  const { StdioClientTransport } = await import(path);
  transport = new StdioClientTransport({ command: server.command, args: server.args, env: server.env });
} else {
  const path = first ? '@modelcontextprotocol/sdk/client/streamableHttp.js' : '@modelcontextprotocol/client';
  const { StreamableHTTPClientTransport } = await import(path);
  transport = new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: server.headers } });
}
const client = new Client({ name: 'test', version: '1' });
await client.connect(transport);

function call(id, options) {
  const request = { name: 'get_campaign', arguments: { campaign_id: id } };
  return first ? client.callTool(request, undefined, options) : client.callTool(request, options);
}

await run({
  tools: async () => expect('get_campaign', await client.listTools()),
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
  progress: async () => {
    let seen = 0;
    await call(server.retried, { onprogress: () => seen++ });
    if (!seen) throw new Error('no progress');
  },
  cancellation: () => cancelled((signal) => call(server.held, { signal }), () => call(server.id)),
});
