// Drives the command line of the MCP Inspector, which opens a session for each request.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, prompt, run, server, stdio, uri } from './harness.mjs';

const program = fileURLToPath(new URL('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url));
const headers = Object.entries(server.headers ?? {}).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
const variables = Object.entries(server.env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
const target = stdio ? [server.command, ...server.args] : [server.url, '--transport', 'http'];

async function request(method, ...options) {
  const words = [program, '--cli', ...target, ...headers, ...variables, '--method', method, ...options];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  return JSON.parse(stdout);
}

const call = () => request('tools/call', '--tool-name', 'get_campaign', '--tool-arg', `campaign_id=${server.id}`);

await run({
  tools: async () => expect('get_campaign', await request('tools/list')),
  calls: async () => expect(server.name, (await call()).content),
  structured: async () => expect(server.name, (await call()).structuredContent.summary),
  prompts: async () => {
    const words = ['--prompt-name', prompt.name, '--prompt-args', `campaign=${server.id}`];
    expect(server.name, await request('prompts/get', ...words));
  },
  resources: async () => expect(server.name, await request('resources/read', '--uri', uri)),
  completion: null,
  progress: null,
  cancellation: null,
});
