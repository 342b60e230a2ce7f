// A server whose answers the test writes: for crowds, slow answers and hostile names, which no real
// server gives on demand. It serves the page's own files under the policy that the server sets.
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";

const PAGE = new URL("../../runtime-mio/src/admin/page/", import.meta.url);
const TYPES = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };

export class Staged {
  /** Paths that were asked for, but for the page's own files. */
  asked = [];
  /** How many requests are under way, and the most of each path at a time. */
  open = new Map();
  most = new Map();
  /** How long each answer takes, in milliseconds. */
  delay = 0;
  /** What is wrong with the server, if anything. */
  failure = null;
  begun = Date.now();

  static async open(world) {
    const staged = new Staged();
    staged.world = world;
    staged.http = createServer((request, response) => staged.#serve(request, response));
    staged.http.listen(0, "127.0.0.1");
    await once(staged.http, "listening");
    staged.url = `http://127.0.0.1:${staged.http.address().port}/`;
    return staged;
  }

  /** The second that it is. */
  get seconds() {
    return (Date.now() - this.begun) / 1000;
  }

  async close() {
    const closed = new Promise((resolve) => this.http.close(resolve));
    this.http.closeAllConnections();
    await closed;
  }

  async #serve(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.url);
    const answer = (status, type, body) => {
      response.writeHead(status, { "content-type": type, "content-security-policy": "default-src 'self'" });
      response.end(body);
    };
    if (!pathname.startsWith("/v1/")) {
      const name = pathname === "/" ? "index.html" : pathname.slice(1);
      const body = await readFile(new URL(name, PAGE)).catch(() => null);
      return body ? answer(200, TYPES[extname(name)], body) : answer(404, "text/plain", "nothing here");
    }
    this.asked.push(request.url);
    const open = (this.open.get(request.url) ?? 0) + 1;
    this.open.set(request.url, open);
    this.most.set(request.url, Math.max(open, this.most.get(request.url) ?? 0));
    response.on("close", () => this.open.set(request.url, this.open.get(request.url) - 1));
    await new Promise((resolve) => setTimeout(resolve, this.delay));
    if (this.failure) return answer(503, "application/json", JSON.stringify({ error: this.failure }));
    const body = this.#answer(pathname, searchParams);
    return body ? answer(200, "application/json", JSON.stringify(body)) : answer(404, "application/json", "{}");
  }

  #answer(path, query) {
    const { seconds } = this;
    switch (path) {
      case "/v1/status":
        return status(this.world, seconds);
      case "/v1/channels":
        return { channels: this.world.channels };
      case "/v1/members": {
        const channel = query.get("channel");
        const members = this.world.members.filter((member) => !channel || member.channel_id === channel);
        return { members: members.map((member) => figures(member, seconds)) };
      }
      case "/v1/explain":
        return this.world.explain?.(query.get("speaker"), query.get("listener"));
      default:
        return null;
    }
  }
}

function status(world, seconds) {
  const speaking = world.members.filter((member) => member.speaking).length;
  return {
    version: "0.0.0-staged", uptime_ms: Math.round(seconds * 1000), ready: world.ready ?? true, draining: world.draining ?? false,
    health: world.health ?? 0.98,
    control_links: world.links ?? [{ name: "default", connected: true, revision: "litecord", since_ms: Math.round(seconds * 1000) }],
    relays: [{
      id: 0, address: "127.0.0.1:50000", legs: world.members.length, behind: world.behind ?? false, send_errors: 0,
      datagrams_in: Math.round(seconds * 50 * speaking), packets_in: Math.round(seconds * 50 * speaking),
      packets_out: Math.round(seconds * 200 * speaking), bytes_in: Math.round(seconds * 9000 * speaking),
      bytes_out: Math.round(seconds * 36_000 * speaking), drops: world.drops ?? {},
    }],
    drops: world.drops ?? {}, closes: world.closes ?? {}, resumes: { resumed: 3, refused: 1 },
    census: { sessions: world.members.length, voice_states: world.members.length, channels: world.channels.length },
  };
}

function figures({ line, ...member }, seconds) {
  const spoken = Math.min(seconds, line.until);
  const packets = member.speaking ? Math.round(spoken * 50) : 0;
  const lost = member.speaking ? Math.round(Math.max(0, spoken - line.from) * 50 * line.share / (1 - line.share)) : 0;
  return {
    ...member, packets_in: packets, bytes_in: packets * 180, packets_out: Math.round(seconds * 100), bytes_out: Math.round(seconds * 18_000),
    lost, late: 0, jitter_ms: line.jitter, last_heard_ms: member.speaking ? 12 : null, drops: {},
  };
}

/** What a member's network does: a share is lost from a second on, and it talks until another. */
const CALM = { share: 0, from: 0, until: Infinity, jitter: 5 };

/** Channels with members in them; every tenth member speaks. */
export function crowd(channels, membersEach) {
  const world = { channels: [], members: [] };
  for (let at = 0; at < channels; at += 1) {
    const id = String(41771983423143000 + at * 8);
    for (let n = 0; n < membersEach; n += 1) world.members.push(member(world.members.length, id, n % 10 === 0));
    world.channels.push({
      id, chat_server: "default", guild_id: String(900 + (at % 7)), bitrate: 64_000, relays: [0], members: membersEach,
      speaking: Math.ceil(membersEach / 10),
    });
  }
  return world;
}

export function member(number, channel, speaking, more = {}) {
  return {
    id: String(number), user_id: String(80351110224678000n + BigInt(number)), channel_id: channel, guild_id: "900", chat_server: "default",
    state: "live", speaking, flags: { mute: false, deaf: false, suppress: false, self_mute: false, self_deaf: false },
    gateway_version: 8, mode: "aead_aes256_gcm_rtpsize", relay: 0, ssrc: 1000 + number, address: `203.0.113.${number % 250}:41234`,
    foreign: false, line: { ...CALM }, ...more,
  };
}
