// A mailbox at a real IMAP server (Dovecot), and a mail server that delivers into it. Prints the ports, then each mail that was taken.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { createServer as createService } from "node:http";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import os from "node:os";
import { join } from "node:path";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { SMTPServer } = require("smtp-server");
const { MAILBOX_FOLDER: folder, MAILBOX_PASSWORD: password, MAILBOX_KEY: key, MAILBOX_CERTIFICATE: cert, MAILBOX_TOKEN: token } = process.env;
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
// Below the ports that the system gives to whoever asks for any, so that nobody gets it before Dovecot does.
const free = () => new Promise((resolve) => {
  const wanted = 10000 + Math.floor(Math.random() * 20000);
  const probe = createServer().on("error", () => resolve(free()));
  probe.listen(wanted, "127.0.0.1", () => probe.close(() => resolve(wanted)));
});

for (const part of ["", "run", "state", "mail"]) {
  fs.mkdirSync(join(folder, part), { recursive: true });
  fs.chmodSync(join(folder, part), 0o777);
}
const [imap, imaps] = [await free(), await free()];
// Where Dovecot asks whose an access token is.
const tokens = createService((request, response) => {
  const good = new URL(request.url, "http://x").searchParams.get("access_token") === token;
  response.writeHead(good ? 200 : 401, { "content-type": "application/json" }).end(good ? '{"email":"ada"}' : '{"error":"invalid_token"}');
});
if (token) {
  await new Promise((resolve) => tokens.listen(0, "127.0.0.1", resolve));
  fs.writeFileSync(join(folder, "oauth2.conf"), `tokeninfo_url = http://127.0.0.1:${tokens.address().port}/tokeninfo?access_token=\nusername_attribute = email\n`);
}
const passdb = token ? `driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = ${folder}/oauth2.conf` : `driver = static\n  args = password=${password}`;
const root = process.getuid() === 0;
const own = os.userInfo().username;
const group = execFileSync("id", ["-gn"]).toString().trim();
const [login, internal, internalGroup] = root ? ["dovenull", "dovecot", "dovecot"] : [own, own, group];
const tls = key ? `ssl = yes\nssl_cert = <${cert}\nssl_key = <${key}\n` : "ssl = no\n";
fs.writeFileSync(join(folder, "dovecot.conf"), `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols = imap
listen = 127.0.0.1
${tls}
disable_plaintext_auth = no
default_login_user = ${login}
default_internal_user = ${internal}
default_internal_group = ${internalGroup}
mail_location = maildir:${folder}/mail/%u
first_valid_uid = 1
auth_mechanisms = ${token ? "xoauth2 oauthbearer" : "plain login"}
passdb {
  ${passdb}
}
userdb {
  driver = static
  args = uid=${internal} gid=${internalGroup} home=${folder}/mail/%u
}
service imap-login {
  chroot =
  inet_listener imap {
    port = ${imap}
  }
  inet_listener imaps {
    port = ${key ? imaps : 0}
  }
}
service anvil {
  chroot =
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Drafts {
    special_use = \\Drafts
    auto = create
  }
  mailbox "Old mail" {
    auto = create
  }
}
`);
const dovecot = spawn("/usr/sbin/dovecot", ["-F", "-c", join(folder, "dovecot.conf")], { stdio: "ignore" });
process.on("exit", () => dovecot.kill("SIGTERM"));
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
// Whoever started this is gone.
process.stdin.on("end", () => process.exit(0)).resume();

let count = 0;
const deliver = (user, text) => {
  const box = join(folder, "mail", user);
  for (const part of ["", "tmp", "new", "cur"]) {
    if (!fs.existsSync(join(box, part))) fs.mkdirSync(join(box, part));
    fs.chmodSync(join(box, part), 0o777);
  }
  const name = `${Date.now()}.${++count}.test`;
  fs.writeFileSync(join(box, "tmp", name), text.replace(/\r\n/g, "\n"));
  fs.chmodSync(join(box, "tmp", name), 0o666);
  fs.renameSync(join(box, "tmp", name), join(box, "new", name));
};

const server = new SMTPServer({
  ...(key ? { secure: true, key: fs.readFileSync(key), cert: fs.readFileSync(cert) } : { hideSTARTTLS: true }),
  allowInsecureAuth: true,
  ...(token ? { authMethods: ["XOAUTH2"] } : {}),
  disableReverseLookup: true,
  onAuth: (auth, session, done) => done((token ? auth.accessToken === token : auth.password === password) ? null : new Error(`no: ${auth.password}`), { user: auth.username }),
  onRcptTo: (address, session, done) => done(address.address.startsWith("nobody@") ? new Error("no such user") : null),
  onData: (stream, session, done) => {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const { mailFrom, rcptTo } = session.envelope;
      if (text.includes("hang up now")) return stream.destroy(), session.socket?.destroy(), server.connections.forEach((one) => one._socket.destroy());
      for (const { address } of rcptTo) if (address.endsWith("@acme.example")) deliver(address.split("@")[0], text);
      say({ from: mailFrom.address, to: rcptTo.map((one) => one.address), user: session.user, text });
      done();
    });
  },
});
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => say({ folder, imap, imaps, smtp: server.server.address().port }));
