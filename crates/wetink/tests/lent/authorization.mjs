// A certified authorization server with a service that takes its access tokens. Prints its port and a person's refresh token, then
// each token that the service took.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";

let handler = (_, response) => response.writeHead(503).end();
const listener = createServer((request, response) => handler(request, response));
await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${listener.address().port}`;
const redirect = { redirect_uris: ["https://client.example/back"] };
const provider = new Provider(issuer, {
  clients: [
    { client_id: "gate way", client_secret: "a secret & more: +%", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    { client_id: "for-ada", token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"], ...redirect },
    { client_id: "changer", token_endpoint_auth_method: "none", grant_types: ["authorization_code", EXCHANGE], ...redirect },
  ],
  scopes: ["openid", "offline_access", "orders"],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  rotateRefreshToken: true,
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  renderError: async (ctx, out) => { ctx.body = JSON.stringify(out); },
});
provider.registerGrantType(EXCHANGE, async (ctx, next) => {
  const { subject_token: subject, audience } = ctx.oidc.params;
  const found = await provider.AccessToken.find(subject);
  if (!found || audience !== "orders") {
    ctx.status = 400;
    ctx.body = { error: "invalid_request", error_description: `no token ${subject}` };
    return next();
  }
  const given = new provider.ClientCredentials({ client: ctx.oidc.client, scope: "orders" });
  ctx.body = { access_token: await given.save(), issued_token_type: "urn:ietf:params:oauth:token-type:access_token", token_type: "Bearer", expires_in: 60 };
  return next();
}, ["subject_token", "subject_token_type", "audience"]);
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/v1/")) return next();
  const token = (ctx.get("authorization").match(/^Bearer (.+)$/) ?? [])[1] ?? "";
  const found = (await provider.ClientCredentials.find(token)) ?? (await provider.AccessToken.find(token));
  if (found?.isValid) say({ token, client: found.clientId, account: found.accountId, scope: found.scope });
  ctx.status = found?.isValid ? 200 : 401;
  ctx.body = found?.isValid ? [] : { token };
});

const account = async (clientId) => {
  const grant = new provider.Grant({ clientId, accountId: "ada" });
  grant.addOIDCScope("openid offline_access orders");
  return { accountId: "ada", client: await provider.Client.find(clientId), grantId: await grant.save(), scope: "openid offline_access orders", gty: "authorization_code" };
};
const refresh = await new provider.RefreshToken({ ...(await account("for-ada")), expiresWithSession: false }).save();
const subject = await new provider.AccessToken({ ...(await account("for-ada")), expiresWithSession: false }).save();
handler = provider.callback();
say({ port: listener.address().port, refresh, subject });
