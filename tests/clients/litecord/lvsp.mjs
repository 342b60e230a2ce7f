// The control link of a corrected Litecord: LVSP, revision "litecord", over TLS. It heartbeats in
// milliseconds, keeps the numbers it was sent, comes back when the link is lost and resumes.
import { createHmac } from "node:crypto";
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";

// The WebSocket package that @discordjs/voice brings along; there is no other package folder here.
const WebSocket = createRequire(new URL("../discordjs/package.json", import.meta.url))("ws");

const OP = { HELLO: 0, IDENTIFY: 1, RESUME: 2, READY: 3, HEARTBEAT: 4, HEARTBEAT_ACK: 5, INFO: 6 };
export const INFO = {
  CHANNEL_REQ: 0, CHANNEL_ASSIGN: 1, CHANNEL_UPDATE: 2, CHANNEL_DESTROY: 3, VST_CREATE: 4, VST_UPDATE: 5, VST_LEAVE: 6,
};
const AGAIN_MS = 200;

/** Emits "ready" (whether it resumed) and "info" (type, data). */
export class Lvsp extends EventEmitter {
  #options;
  #socket = null;
  #session = null;
  #seq = 0;
  #heard = 0; // the newest number on this connection
  #beat = null;

  constructor(options) {
    super();
    this.#options = options;
    this.#connect();
  }

  /** Nothing is sent while the link is down: what was not answered is said again when it is back. */
  info(type, data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send(OP.INFO, { type, data });
  }

  #connect() {
    const { port, ca } = this.#options;
    const socket = new WebSocket(`wss://127.0.0.1:${port}/`, { ca, handshakeTimeout: 5000 });
    this.#socket = socket;
    socket.on("message", (text) => this.#receive(JSON.parse(text)));
    socket.on("error", () => {}); // "close" follows
    socket.on("close", (code, reason) => {
      clearInterval(this.#beat);
      this.emit("lost", code, String(reason));
      setTimeout(() => this.#connect(), AGAIN_MS);
    });
  }

  #send(op, d) {
    this.#socket.send(JSON.stringify({ op, d }));
  }

  #receive({ op, d, s }) {
    if (op === OP.HELLO) this.#identify(d);
    if (op === OP.READY) {
      // Without a resume the numbers that were heard before mean nothing.
      if (!d.resumed) this.#seq = this.#heard;
      this.#session = d.session;
      this.emit("ready", d.resumed);
    }
    if (op === OP.INFO) {
      this.#seq = this.#heard = s;
      this.emit("info", d.type, d.data);
    }
  }

  #identify({ nonce, heartbeat_interval }) {
    this.#heard = 0;
    const token = createHmac("sha256", this.#options.secret).update(nonce).digest("hex");
    if (this.#session === null) this.#send(OP.IDENTIFY, { token });
    else this.#send(OP.RESUME, { token, seq: this.#seq, session: this.#session });
    this.#beat = setInterval(() => this.#send(OP.HEARTBEAT, { s: this.#seq }), heartbeat_interval);
  }
}
