// What the server needs before it can start: certificates, free ports and a configuration.
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

const OPENSSL_CONFIG = `
[req]
distinguished_name = name
prompt = no
[name]
CN = throw-away voice test
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
authorityKeyIdentifier = keyid
`;

/**
 * Makes a private CA and a certificate for loopback in `dir`. Two certificates and not one that
 * signs itself: the songbird harness refuses a server certificate that is itself a CA.
 */
export function makeCertificates(dir) {
  writeFileSync(join(dir, "openssl.cnf"), OPENSSL_CONFIG);
  const openssl = (...args) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe", timeout: 30_000 });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf"];
  openssl("req", "-x509", ...newKey, "-extensions", "ca", "-days", "7", "-keyout", "ca-key.pem", "-out", "ca.pem");
  openssl("req", "-new", ...newKey, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "leaf.csr");
  openssl(
    "x509", "-req", "-in", "leaf.csr", "-days", "7", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
    "-extfile", "openssl.cnf", "-extensions", "leaf", "-out", "leaf.pem",
  );
  const chain = ["leaf.pem", "ca.pem"].map((name) => readFileSync(join(dir, name), "utf8"));
  writeFileSync(join(dir, "chain.pem"), chain.join(""));
  return join(dir, "ca.pem");
}

/** TCP ports and one UDP port that were free a moment ago; all are held until the last is known. */
export async function freePorts() {
  const tcp = [createServer(), createServer(), createServer()];
  const udp = createSocket("udp4");
  for (const s of tcp) s.listen(0, "127.0.0.1");
  udp.bind(0, "127.0.0.1");
  const all = [...tcp, udp];
  await Promise.all(all.map((s) => once(s, "listening")));
  const [control, gateway, chat, media] = all.map((s) => s.address().port);
  await Promise.all(all.map((s) => new Promise((closed) => s.close(closed))));
  return { control, gateway, chat, media };
}

/** `control` and `media` are more lines of these sections, `sections` whole ones, `endpoint` is the port that clients dial. */
export function writeConfig(dir, ports, secret, more = {}, file = join(dir, "server.toml")) {
  const { endpoint = ports.gateway, control = "", media = "", sections = "" } = more;
  writeFileSync(file, `\
[control]
listen = "127.0.0.1:${ports.control}"
secret = "${secret}"
${control}
[gateway]
listen = "127.0.0.1:${ports.gateway}"
endpoint = "127.0.0.1:${endpoint}"
[media]
listen = "127.0.0.1:${ports.media}"
${media}
[tls]
certificate = "${join(dir, "chain.pem")}"
key = "${join(dir, "key.pem")}"
${sections}
`);
  return file;
}

/** The command line of the example of runtime-tokio. */
export function roomsArguments(dir, ports) {
  const at = (port) => `127.0.0.1:${port}`;
  return [
    "--http", at(ports.control), "--gateway", at(ports.gateway), "--media", at(ports.media),
    "--certificate", join(dir, "chain.pem"), "--key", join(dir, "key.pem"),
  ];
}
