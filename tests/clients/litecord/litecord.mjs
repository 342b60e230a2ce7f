#!/usr/bin/env node
// A chat server that does what a corrected Litecord would do (docs/litecord.md): it orders the voice
// server about over LVSP and tells its clients where to connect. Their gateway is cut down to what
// voice needs: JSON lines over TCP on loopback.
//
//   client: {"op":2,"d":{"user_id":"..."}}              who it is
//           {"op":4,"d":{"guild_id":"...","channel_id":"..."|null}}
//   server: {"t":"VOICE_STATE_UPDATE","d":{...}}  {"t":"VOICE_SERVER_UPDATE","d":{...}}
//
// Its own orders come as JSON lines on standard input: {"do":"flags","user":U,"mute":true},
// {"do":"move","user":U,"channel":C}, {"do":"kick","user":U}.
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { readLines, toLine } from "../lines.mjs";
import { Guild } from "./guild.mjs";
import { Lvsp } from "./lvsp.mjs";

const text = { type: "string" };
const { values: o } = parseArgs({
  options: { control: text, ca: text, secret: text, port: text, state: text, guild: text },
});
const say = (ev, fields = {}) => process.stdout.write(toLine({ ev, ...fields }));

const clients = new Map();
const waiting = new Map(); // what a client that is just away has not been told

function dispatch(user, t, d) {
  const line = toLine({ t, d });
  const socket = clients.get(user);
  if (socket) socket.write(line);
  else waiting.set(user, (waiting.get(user) ?? "") + line);
  say("dispatch", { user, t, channel: d.channel_id });
}

const lvsp = new Lvsp({ port: o.control, ca: readFileSync(o.ca), secret: o.secret });
lvsp.on("ready", (resumed) => say("ready", { resumed }));
lvsp.on("lost", (code, reason) => say("lost", { code, reason }));
const guild = new Guild({ id: o.guild, file: o.state, lvsp, dispatch });

createServer((socket) => {
  let user;
  socket.on("error", () => {});
  socket.on("close", () => clients.get(user) === socket && clients.delete(user));
  readLines(socket, ({ op, d }) => {
    if (op === 2) {
      user = d.user_id;
      clients.set(user, socket);
      socket.write(waiting.get(user) ?? "");
      waiting.delete(user);
    }
    if (op === 4) guild.ask(user, d.channel_id);
  });
}).listen(Number(o.port), "127.0.0.1", () => say("listening"));

readLines(process.stdin, ({ do: what, user, channel, ...flags }) => {
  if (what === "flags") guild.setFlags(user, flags);
  if (what === "move") guild.ask(user, channel);
  if (what === "kick") guild.leave(user);
});
