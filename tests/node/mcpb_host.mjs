// How a host starts a bundle's server: the npm package @anthropic-ai/mcpb's own code, which hosts use.
// Reads what getMcpConfigForManifest takes as JSON from stdin, and writes what it gives, or null.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const modules = createRequire(join(process.env.TEST_NODE_MODULES, 'x.js'));
const { getMcpConfigForManifest } = await import(pathToFileURL(modules.resolve('@anthropic-ai/mcpb')));
const given = JSON.parse(await text(process.stdin));
const config = await getMcpConfigForManifest({ systemDirs: {}, pathSeparator: '/', ...given });
console.log(JSON.stringify(config ?? null));
