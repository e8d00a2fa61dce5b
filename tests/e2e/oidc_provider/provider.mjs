// oidc-provider as the end-to-end tests need it: one client, everything in memory, its own login and consent pages, loopback only.
import { Provider } from 'oidc-provider';

const { PORT, SITE_URL, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, POST_LOGOUT_REDIRECT_URI, BACKCHANNEL_LOGOUT_URI } =
  process.env;
const host = '127.0.0.1';
const issuer = `http://${host}:${PORT}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      client_uri: SITE_URL,
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [POST_LOGOUT_REDIRECT_URI],
      backchannel_logout_uri: BACKCHANNEL_LOGOUT_URI,
      // "false" leaves `sid` out of ID and logout tokens: a logout then means every session of the subject.
      backchannel_logout_session_required: process.env.BACKCHANNEL_LOGOUT_SESSION_REQUIRED !== 'false',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: 'RS256',
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  // Whoever the login page is told to be exists: the login name is the subject.
  findAccount: (_ctx, subject) => ({
    accountId: subject,
    claims: () => ({ sub: subject, name: subject, email: `${subject}@example.com`, email_verified: true }),
  }),
  conformIdTokenClaims: false,
  cookies: { keys: [CLIENT_SECRET] },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // The default refuses loopback addresses, which is where the site under test listens.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
});

const said = (event, describe) => provider.on(event, (...args) => console.log(event, describe(...args)));
said('authorization.success', (ctx) => ctx.oidc.session?.accountId);
said('backchannel.success', (_ctx, client, subject, sid) => `${client.clientId} ${subject} ${sid}`);
said('backchannel.error', (_ctx, error) => error.message);
for (const event of ['authorization.error', 'grant.error', 'end_session.error', 'server_error']) {
  said(event, (_ctx, error) => `${error.message} ${error.error_description ?? ''}`);
}

provider.listen(Number(PORT), host, () => console.log(`listening on ${issuer}`));
