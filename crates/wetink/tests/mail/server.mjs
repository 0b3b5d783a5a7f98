// A mail server: prints its port, then each mail that it took as a line of JSON. With a certificate it speaks after STARTTLS only.
import fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { SMTPServer } = require("smtp-server");
const { MAIL_KEY: key, MAIL_CERTIFICATE: cert, MAIL_PASSWORD: password, MAIL_REFUSE: refuse } = process.env;
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const server = new SMTPServer({
  ...(key ? { key: fs.readFileSync(key), cert: fs.readFileSync(cert) } : { hideSTARTTLS: true }),
  authOptional: !password,
  allowInsecureAuth: false,
  disableReverseLookup: true,
  onAuth: (auth, session, done) => done(auth.password === password ? null : new Error("no"), { user: auth.username }),
  onData: (stream, session, done) => {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      if (refuse && fs.existsSync(refuse)) return done(Object.assign(new Error("later"), { responseCode: 451 }));
      const { mailFrom, rcptTo } = session.envelope;
      say({ from: mailFrom.address, to: rcptTo.map((one) => one.address), user: session.user, secure: session.secure, text: Buffer.concat(parts).toString() });
      done();
    });
  },
});
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => say({ port: server.server.address().port }));
