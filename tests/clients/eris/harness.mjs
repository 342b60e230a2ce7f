#!/usr/bin/env node
// Drives an unmodified eris VoiceConnection straight against a voice endpoint: it takes the details
// that the main gateway would have told. It knows the mode xsalsa20_poly1305 alone.
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { StreamDigest, makeFrame } from "../discordjs/frames.mjs";
import { Received } from "../discordjs/received.mjs";
import { toLine } from "../lines.mjs";

const { VoiceConnection } = createRequire(import.meta.url)("eris");

const T0 = Date.now();
const say = (ev, fields = {}) => process.stdout.write(toLine({ t: Date.now() - T0, ev, ...fields }));

const CONNECT_MS = 10_000;
const need = ["endpoint", "token", "session-id", "guild-id", "channel-id", "user-id", "role"];
const text = (value) => ({ type: "string", default: value });
let o;
try {
  ({ values: o } = parseArgs({
    options: {
      ...Object.fromEntries(need.map((name) => [name, text()])),
      ca: text(), // read from NODE_EXTRA_CA_CERTS, which is set as well
      seconds: text("8"),
      delay: text("1"),
      frames: text("300"),
      tag: text("1"),
      "after-first": text("0"),
    },
  }));
  for (const name of need) if (!o[name]) throw new Error(`--${name} is needed`);
  if (!["speak", "listen"].includes(o.role)) throw new Error("--role is speak or listen");
} catch (e) {
  process.stderr.write(`usage error: ${e.message}\n`);
  process.exit(2);
}

const later = (seconds, what) => setTimeout(what, Number(seconds) * 1000);
const closes = [];
let resumes = 0;
let sent = null;
let ended = false;

// Frames are opaque here, so that no Opus library is needed.
const connection = new VoiceConnection(o["guild-id"], { opusOnly: true });
const received = new Received({ say, first: () => later(o["after-first"], () => finish("time")), reached() {} });

connection.on("error", (e) => say("error", { msg: String(e) }));
connection.on("warn", (msg) => {
  say("warn", { msg });
  const closed = /^Voice WS close (\d+)/.exec(msg);
  if (closed && !ended) closes.push(Number(closed[1]));
});
connection.on("debug", (msg) => {
  if (msg.startsWith('Rec: {"op":9')) resumes++;
});
connection.on("disconnect", () => finish("closed"));
connection.once("ready", () => {
  say("connected", { ssrc: connection.ssrc });
  say("session", { mode: connection.mode });
  later(o.seconds, () => finish("time"));
  // The library registers a receiver that is there already once more when it has told of "ready".
  if (o.role === "listen") setImmediate(listen);
  else later(o.delay, speak);
});

function listen() {
  connection.receive("opus").on("data", (payload, user) => {
    const ssrc = Number(Object.keys(connection.ssrcUserMap).find((ssrc) => connection.ssrcUserMap[ssrc] === user));
    received.setUser(ssrc, user);
    received.payload(ssrc, Buffer.from(payload));
  });
}

/** A file of frames as the library reads them: each preceded by its length as i16 LE. */
function dca(frames) {
  const length = (frame) => {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16LE(frame.length);
    return bytes;
  };
  return Buffer.concat(frames.flatMap((frame) => [length(frame), frame]));
}

function speak() {
  const tag = Number(o.tag);
  const frames = Array.from({ length: Number(o.frames) }, (_, index) => makeFrame(tag, index));
  const digest = new StreamDigest();
  for (const frame of frames) digest.add(frame);
  sent = { tag, frames: frames.length, sha256: digest.hex() };
  connection.once("end", () => say("speak-done"));
  say("speak-begin", { frames: frames.length, tag });
  connection.play(Readable.from([dca(frames)], { objectMode: false }), { format: "dca" });
}

function finish(why) {
  if (ended) return;
  ended = true;
  say("summary", {
    ended: why, ready: connection.ready, sent, received: received.summary(), closes, resumes,
    session: { mode: connection.mode },
  });
  if (why === "time") connection.disconnect();
  // Leave a moment for the websocket's closing handshake.
  setTimeout(() => process.exit(why === "time" ? 0 : why === "never-ready" ? 3 : 4), 200);
}

setTimeout(() => connection.ready || finish("never-ready"), CONNECT_MS);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => finish("signal"));
connection.connect({
  channel_id: o["channel-id"], endpoint: o.endpoint, session_id: o["session-id"], token: o.token, user_id: o["user-id"],
});
