// The npm package oidc-provider on loopback: one client, and access tokens as JWTs for one resource.
// Its first line on stdout is the issuer; it ends when stdin does.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [audience, scope, claim, algorithm] = process.argv.slice(2);
const modules = createRequire(join(process.env.TEST_NODE_MODULES, 'x.js'));
const { Provider } = await import(pathToFileURL(modules.resolve('oidc-provider')));
const { exportJWK, generateKeyPair } = await import(pathToFileURL(modules.resolve('jose')));

const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'agent',
    client_secret: 'the secret of a test',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: algorithm,  // else it wants a key for RS256
  }],
  jwks: { keys: [{ ...await exportJWK(privateKey), kid: 'node', use: 'sig' }] },
  extraTokenClaims: () => ({ [claim]: ['berlin', 'main'] }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: `${scope} other`,
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});
server.on('request', provider.callback());
process.stdin.resume().on('end', () => process.exit());
console.log(issuer);
