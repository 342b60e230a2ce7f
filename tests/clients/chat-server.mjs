// The chat server's end of the control link: LVSP, draft revision, as much of it as a call needs.
import { createRequire } from "node:module";
import { within } from "./programs.mjs";

// The WebSocket package that @discordjs/voice brings along; there is no other package folder here.
const WebSocket = createRequire(new URL("./discordjs/package.json", import.meta.url))("ws");

const HELLO = 0;
const IDENTIFY = 1;
const READY = 3;
const HEARTBEAT = 4;
const HEARTBEAT_ACK = 5;
const INFO = 6;
const VST_REQUEST = 7;
const INFO_VOICE_STATE = 1;

const ANSWER_MS = 5000;
const HEARTBEAT_MS = 5000;

export class ChatServer {
  #socket;
  #waiting = new Set();
  #lastSeq = 0;
  #unanswered = null; // the "s" of a heartbeat whose answer is still to come
  #beat = null;
  #fault = null;

  /** Connects, identifies with the plain secret (which is what makes the revision "draft") and waits for READY. */
  static async connect(port, ca, secret) {
    const link = new ChatServer();
    link.#socket = new WebSocket(`wss://127.0.0.1:${port}/`, { ca, handshakeTimeout: ANSWER_MS });
    link.#socket.on("message", (data) => link.#receive(data));
    link.#socket.on("error", (e) => link.#lost(`error: ${e.message}`));
    link.#socket.on("close", (code, reason) => link.#lost(`closed with ${code} ${reason}`));
    await link.#next("HELLO", (m) => m.op === HELLO);
    await link.#ask(IDENTIFY, { token: secret }, "READY", (m) => m.op === READY);
    link.#beat = setInterval(() => link.#heartbeat(), HEARTBEAT_MS);
    return link;
  }

  /** Asks for a voice state; resolves with the connection details that a voice client needs. */
  async join(member) {
    const mine = ({ op, d }) =>
      op === INFO && d.type === INFO_VOICE_STATE && d.info?.user_id === member.user_id &&
      d.info.channel_id === member.channel_id && d.info.token !== undefined;
    const { d } = await this.#ask(VST_REQUEST, member, `INFO for user ${member.user_id}`, mine);
    for (const key of ["session_id", "token", "endpoint"]) {
      if (typeof d.info[key] !== "string" || d.info[key] === "") throw new Error(`INFO without ${key}`);
    }
    if (d.info.guild_id !== member.guild_id) throw new Error(`INFO with guild_id ${d.info.guild_id}`);
    return d.info;
  }

  /** Throws when anything has gone wrong on the link so far. */
  check() {
    if (this.#fault) throw new Error(`control link: ${this.#fault}`);
  }

  close() {
    clearInterval(this.#beat);
    this.#socket.removeAllListeners("close");
    this.#socket.close(1000);
  }

  #send(op, d) {
    this.#socket.send(JSON.stringify({ op, d }));
  }

  #next(what, test) {
    this.check();
    let waiter;
    const answer = new Promise((resolve, reject) => {
      waiter = { test, resolve, reject };
      this.#waiting.add(waiter);
    });
    return within(ANSWER_MS, `control link, waiting for ${what}`, answer).finally(() => this.#waiting.delete(waiter));
  }

  #ask(op, d, what, test) {
    const answer = this.#next(what, test); // first, so that no answer can be too early
    this.#send(op, d);
    return answer;
  }

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return this.#lost(`not JSON: ${data}`);
    }
    if (message.op === INFO) this.#count(message.s);
    if (message.op === HEARTBEAT_ACK) this.#acknowledge(message.d?.s);
    for (const waiter of this.#waiting) if (waiter.test(message)) waiter.resolve(message);
  }

  #count(seq) {
    if (seq !== this.#lastSeq + 1) this.#lost(`INFO number ${seq} after ${this.#lastSeq}`);
    this.#lastSeq = seq;
  }

  #heartbeat() {
    if (this.#unanswered !== null) return this.#lost(`no answer to a heartbeat in ${HEARTBEAT_MS} ms`);
    this.#unanswered = this.#lastSeq;
    this.#send(HEARTBEAT, { s: this.#lastSeq });
  }

  #acknowledge(seq) {
    // One that was not asked for is allowed: servers may report their health that way.
    if (this.#unanswered !== null && seq !== this.#unanswered) {
      this.#lost(`heartbeat ${this.#unanswered} answered with ${seq}`);
    }
    this.#unanswered = null;
  }

  /** The link is of no more use: everybody who waits is told the first reason. */
  #lost(why) {
    this.#fault ??= why;
    clearInterval(this.#beat);
    for (const waiter of this.#waiting) waiter.reject(new Error(`control link: ${this.#fault}`));
  }
}
