// What a scenario needs around it: a voice server, a chat server that orders it about, proxies in
// front of both listeners, and the clients themselves. Everything on loopback.
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { toLine } from "./lines.mjs";
import { Program } from "./programs.mjs";
import { Proxy } from "./proxy.mjs";
import { freePorts, writeConfig } from "./setup.mjs";

const READY_MS = 20_000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export const GUILD = "41771983423143937";

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return {}; // what a library prints by itself
  }
}

/** One client program. */
export class Client {
  constructor(program, user, connected) {
    Object.assign(this, { program, user, connected });
  }

  /** Resolves with the first event, past or future, for which `test` is true. */
  async event(test, what, ms) {
    return parse(await this.program.line((line) => test(parse(line)), what, ms));
  }

  get events() {
    return this.program.lines.map(parse);
  }

  get summary() {
    return this.events.find((e) => e.ev === "summary");
  }
}

export class Stage {
  programs = [];
  #users = 0;

  /** `config` goes to setup.mjs. The certificates stand in `options.dir`. */
  static async open(name, options, config = {}) {
    const stage = new Stage();
    Object.assign(stage, { name, options, dir: join(options.dir, name) });
    mkdirSync(stage.dir, { recursive: true });
    stage.ports = await freePorts();
    stage.proxy = await Proxy.open(stage.ports.gateway);
    stage.controlProxy = await Proxy.open(stage.ports.control);
    stage.secret = randomBytes(24).toString("hex");
    const control = `revision = "litecord"\nauth = "hmac"\nhealth = "best-is-0"\n${config.control ?? ""}`;
    const all = { ...config, control, endpoint: stage.proxy.port };
    stage.config = writeConfig(options.dir, stage.ports, stage.secret, all, join(stage.dir, "server.toml"));
    await stage.startServer();
    await stage.#startChat();
    return stage;
  }

  async #startChat() {
    this.chat = this.#start("chat-server", process.execPath, [
      here("litecord/litecord.mjs"), "--control", this.controlProxy.port, "--ca", this.options.ca, "--secret", this.secret,
      "--port", this.ports.chat, "--state", join(this.dir, "states.json"), "--guild", GUILD,
    ], { input: true });
    await this.chat.line((line) => parse(line).ev === "ready", "READY", READY_MS);
  }

  /** Breaks the control link; resolves when the chat server has resumed. */
  async breakControl() {
    const before = this.chat.lines.length;
    this.controlProxy.breakAll();
    const resumed = (line) => parse(line).ev === "ready" && parse(line).resumed;
    const again = (line) => resumed(line) && this.chat.lines.slice(before).includes(line);
    await this.chat.line(again, "a RESUME", READY_MS);
  }

  /** Another process with the same database. */
  async restartChat() {
    await this.chat.kill();
    await this.#startChat();
  }

  #start(name, command, args, more = {}) {
    const { logs } = this.options;
    const program = new Program(`${this.name} ${name}`.replace(/[^a-z0-9]+/gi, "-"), command, args.map(String), { logs, ...more });
    this.programs.push(program);
    return program;
  }

  async startServer() {
    this.server = this.#start("server", this.options.server, ["serve", "--config", this.config]);
    await this.server.line((line) => /\bready\b/i.test(line), "a line with the word ready", READY_MS);
  }

  /** Starts a client that joins `channel` through the chat server. */
  client(kind, channel, args) {
    const user = String(80351110224678913n + BigInt(this.#users++));
    const all = ["--gateway", this.ports.chat, "--guild-id", GUILD, "--channel-id", channel, "--user-id", user, "--ca", this.options.ca, ...args];
    const programs = {
      songbird: [this.options.songbird, all],
      discordjs: [process.execPath, [here("discordjs/harness.mjs"), ...all]],
      "discord.py": [this.options.python, [here("discordpy/harness.py"), ...all]],
    };
    const [command, argv] = programs[kind];
    // With this the discord.js harness need not start itself a second time, out of our reach.
    const env = { NODE_EXTRA_CA_CERTS: this.options.ca, SSL_CERT_FILE: this.options.ca };
    const program = this.#start(`${kind}-${this.#users}`, command, argv, { env });
    const client = new Client(program, user);
    client.connected = client.event((e) => e.ev === "connected", "connected", READY_MS);
    client.connected.catch(() => {}); // whoever waits for it is told
    return client;
  }

  /** Has the chat server do something as a moderator would. */
  order(what) {
    this.chat.child.stdin.write(toLine(what));
  }

  async close() {
    this.proxy.close();
    this.controlProxy.close();
    await Promise.all(this.programs.map((program) => program.stop()));
  }
}
