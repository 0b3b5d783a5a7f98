// Has another implementation of RFC 9421 verify a request that arrived.
//
// Standard input: {"method", "url", "headers", "key"}, the key 32 bytes in base64. Prints what it says, `true` if all is well.
import { createPublicKey, verify } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { httpbis } = require("http-message-signatures");

const { key, ...request } = JSON.parse(await text(process.stdin));
const x = Buffer.from(key, "base64").toString("base64url");
const known = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
const fits = await httpbis.verifyMessage(
  {
    keyLookup: async ({ keyid }) => ({
      id: keyid,
      algs: ["ed25519"],
      verify: async (data, signature) => verify(null, data, known, signature),
    }),
    requiredFields: ["@method", "@target-uri", "content-digest", "wetink-receipt"],
  },
  request,
);
console.log(fits);
