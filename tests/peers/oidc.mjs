// A certified OpenID provider (npm oidc-provider) for the grants: device code, authorization code, refresh with rotation.
// Prints its port. Tokens are opaque; /me says whose they are.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const { port } = server.address();
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'relay',
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/', 'http://127.0.0.1'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
  }],
  claims: { openid: ['sub'], email: ['email'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: id }) }),
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true }, userinfo: { enabled: true } },
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, DeviceCode: 600, RefreshToken: 86400, Grant: 86400, Interaction: 600, Session: 600, IdToken: 600, AuthorizationCode: 60 },
  issueRefreshToken: () => true,
  cookies: { keys: ['test'] },
});
server.on('request', provider.callback());
console.log(port);
