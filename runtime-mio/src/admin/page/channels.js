// Channels and who is in them. A server may have thousands of both, so members are asked for and
// drawn only where a channel is open or a search found them, and never more than so many.

import { $, announce, attribute, chart, draw, el, list, text } from "./dom.js";
import { Meters, byId, count, lossShare, milliseconds, percent, rate } from "./figures.js";

/** With no more members than this, all of them are asked for at once. */
const FEW_MEMBERS = 200;
/** So many channels are open at a time; opening one more closes the one opened first. */
const OPEN_MAX = 8;
const CHANNELS_MAX = 200;
const ROWS_MAX = 100;
export const RECORD_S = 10;
/** Between requests for everybody, while a search needs them. */
const SEARCH_MS = 3000;

const STATES = { waiting: "not connected yet", identified: "connecting", live: "", detached: "connection lost" };
const FLAGS = { mute: "muted", deaf: "deafened", suppress: "suppressed", self_mute: "self-muted", self_deaf: "self-deafened" };

export class Channels {
  all = [];
  #members = new Map();
  #open = new Set();
  /** Whether channels have been opened without being asked to; that happens once. */
  #opened = false;
  #query = "";
  #asked = -Infinity;
  #meters = new Meters();
  #flow = [null, null];

  constructor(why, poke) {
    this.why = why;
    this.poke = poke;
    why.onchange = () => this.#draw();
    $("search").addEventListener("input", (event) => {
      this.#query = event.target.value.trim().toLowerCase();
      this.#asked = -Infinity;
      this.#draw();
      poke();
    });
    $("channel-list").addEventListener("keydown", (event) => step(event));
  }

  /** What to ask for in the next round. */
  wanted() {
    const now = performance.now();
    if (!this.all.length) return [];
    if (this.#isSmall()) return ["v1/members"];
    if (!this.#query) return [...this.#open].map((id) => `v1/members?channel=${encodeURIComponent(id)}`);
    if (now - this.#asked < SEARCH_MS) return [];
    this.#asked = now;
    return ["v1/members"];
  }

  #isSmall() {
    return this.all.reduce((sum, channel) => sum + channel.members, 0) <= FEW_MEMBERS;
  }

  /** Another process answers. */
  forget() {
    this.#meters.clear();
    this.#members.clear();
  }

  /** Packets a second of the members shown, and those that never came. */
  flow() {
    return this.#flow;
  }

  /** Takes the server's answer; `fresh` says whether members were asked for. */
  take(channels, members, fresh) {
    const first = this.all.length === 0 && channels.length > 0;
    this.all = channels.toSorted((a, b) => byId(a.id, b.id));
    if (fresh) {
      this.#members = Map.groupBy(members, (member) => member.channel_id);
      this.#measure(members);
      this.why.recognise(members);
    }
    const known = new Set(channels.map((channel) => channel.id));
    for (const id of this.#open) if (!known.has(id)) this.#open.delete(id);
    if (first && !this.#opened) this.#openSome();
    this.#draw();
  }

  #openSome() {
    this.#opened = true;
    let rows = 0;
    for (const channel of this.all.filter((channel) => channel.members).slice(0, OPEN_MAX)) {
      rows += channel.members;
      if (rows <= ROWS_MAX) this.#open.add(channel.id);
    }
    this.poke();
  }

  /** Keeps the history of those who may be shown, and forgets that of all others. */
  #measure(members) {
    const at = performance.now();
    let [packets, gone] = [null, null];
    for (const member of members) {
      if (!this.#open.has(member.channel_id) && !this.#matches(member)) continue;
      const meter = this.#meters.of(member.id);
      const { packets_in = 0, packets_out = 0, lost = 0 } = member;
      if (meter.feed(at, { packets_in, packets_out, lost })) {
        meter.note("jitter", member.jitter_ms ?? null);
        meter.note("loss", lossShare(meter.rate("packets_in"), meter.rate("lost")));
      }
      packets += meter.rate("packets_in") ?? 0;
      gone += meter.rate("lost") ?? 0;
    }
    this.#flow = [packets, gone];
    this.#meters.sweep();
  }

  #matches(member) {
    return this.#query !== "" && member.user_id.includes(this.#query);
  }

  // --- what is shown ---

  #draw() {
    const found = this.all.map((channel) => this.#look(channel)).filter((view) => view !== null);
    const shown = found.length <= CHANNELS_MAX ? found : most(found);
    list($("channel-list"), shown, ({ channel }) => channel.id, (view) => this.#make(view.channel), (node, view) => this.#update(node, view));
    text($("channels-note"), this.#note(found.length));
  }

  /** How a channel is shown at present, or null where the search leaves it out. */
  #look(channel) {
    const members = this.#members.get(channel.id) ?? [];
    const open = this.#open.has(channel.id);
    if (!this.#query) return { channel, open, members };
    const fields = [channel.id, channel.guild_id, channel.chat_server];
    if (fields.some((field) => String(field ?? "").toLowerCase().includes(this.#query))) return { channel, open, members };
    const matching = members.filter((member) => this.#matches(member));
    return matching.length ? { channel, open: true, members: matching } : null;
  }

  #note(found) {
    if (!this.all.length) return "Nobody is in a channel right now.";
    if (this.#query && !found) return "Nothing found.";
    if (found > CHANNELS_MAX) return `Showing the ${CHANNELS_MAX} largest of ${count(found)} channels. Search to find the others.`;
    if (this.#query) return found === 1 ? "1 channel found." : `${count(found)} channels found.`;
    return this.#isSmall() ? "" : `Up to ${OPEN_MAX} channels can be open at once.`;
  }

  #make(channel) {
    const body = el("div", { class: "members", id: `channel-${channel.id}` });
    const toggle = el("button", { type: "button", class: "toggle", "aria-controls": body.id }, `Channel ${channel.id}`);
    toggle.addEventListener("click", () => this.#toggle(channel.id));
    const head = el("div", { class: "channel-head" }, el("h3", {}, toggle), el("p", { class: "meta" }));
    return el("article", { class: "channel", "data-channel": channel.id }, head, body);
  }

  #toggle(id) {
    if (this.#open.delete(id)) return this.#draw();
    this.#open.add(id);
    if (this.#open.size > OPEN_MAX) this.#open.delete(this.#open.values().next().value);
    this.#draw();
    return this.poke();
  }

  #update(node, { channel, open, members }) {
    const [head, body] = node.children;
    attribute(head.querySelector("button"), "aria-expanded", String(open));
    text(head.lastElementChild, about(channel));
    node.classList.toggle("speaking", channel.speaking > 0);
    body.hidden = !open;
    if (!open) return body.replaceChildren();
    return this.#table(body, members, channel);
  }

  #table(body, members, channel) {
    if (!body.firstElementChild) body.append(...table());
    const shown = members.length <= ROWS_MAX ? members : foremost(members, this.why);
    shown.sort((a, b) => byId(a.user_id, b.user_id) || byId(a.id, b.id));
    const [whole, hint] = body.children;
    const spread = channel.relays?.length > 1;
    whole.hidden = !members.length;
    const rows = whole.tBodies[0];
    list(rows, shown, (member) => member.id, (member) => this.#row(member), (row, member) => this.#fill(row, member, spread));
    const left = members.length - shown.length;
    const none = channel.members ? "Loading …" : "Nobody is in this channel.";
    const more = `${count(left)} more members are not shown. Those who speak come first; search to find the others.`;
    text(hint, left ? more : members.length ? "" : none);
  }

  // --- one member ---

  #row(member) {
    const choose = el("button", { type: "button", class: "choose" }, member.user_id);
    const row = el("tr", { role: "row", "data-member": member.id, "data-user": member.user_id });
    choose.addEventListener("click", () => this.why.choose(row.member));
    const cells = ["In/s", "Out/s", "Loss", "Jitter"].map((label) => {
      const cell = el("td", { role: "cell", class: "n", "data-label": label }, el("span", { class: "value" }));
      if (label !== "Out/s") cell.prepend(chart());
      return cell;
    });
    const record = recorder(member, "Capture");
    attribute(record, "aria-label", `Capture packet headers of ${member.user_id} for ${RECORD_S} seconds`);
    row.append(
      el("th", { role: "rowheader", scope: "row" }, choose, el("span", { class: "talk" }), el("span", { class: "badges" })),
      ...cells,
      el("td", { role: "cell", class: "where" }, el("span", {}), el("span", { class: "note" })),
      el("td", { role: "cell", class: "last" }, record),
    );
    return row;
  }

  #fill(row, member, spread) {
    row.member = member;
    const [who, incoming, outgoing, loss, jitter, where] = row.cells;
    const [choose, talk, badges] = who.children;
    const role = this.why.roleOf(member);
    attribute(choose, "aria-pressed", String(role !== ""));
    attribute(choose, "aria-label", this.why.label(member));
    text(talk, member.speaking ? "speaking" : "");
    row.classList.toggle("speaking", Boolean(member.speaking));
    attribute(row, "data-state", member.state);
    list(badges, marks(member, role), (mark) => mark, (mark) => el("span", { class: "badge" }, mark), () => {});

    const meter = this.#meters.of(member.id);
    figure(incoming, rate(meter.rate("packets_in")), meter.series("packets_in"), 50);
    text(outgoing.lastElementChild, rate(meter.rate("packets_out")));
    figure(loss, percent(lossShare(meter.mean("packets_in"), meter.mean("lost"))), meter.series("loss"), 0.05);
    figure(jitter, milliseconds(member.jitter_ms), meter.series("jitter"), 30);
    text(where.firstElementChild, member.address ?? "no audio yet");
    text(where.lastElementChild, means(member, spread));
  }
}

/** A link to a recording that begins when it is followed; the browser shows nothing until it is over. */
export function recorder(member, label) {
  const href = `v1/members/${encodeURIComponent(member.id)}/capture?seconds=${RECORD_S}`;
  const link = el("a", { href, download: "" }, label);
  const words = `Capturing the packet headers of ${member.user_id} for ${RECORD_S} s, without audio. Then the file is saved.`;
  link.addEventListener("click", () => announce(words));
  return link;
}

/** Arrows lead from member to member; Tab goes through all that can be pressed. */
function step(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !event.target.matches(".choose")) return;
  const all = [...$("channel-list").querySelectorAll(".choose")];
  all[all.indexOf(event.target) + by]?.focus();
  event.preventDefault();
}

function figure(cell, value, series, ceiling) {
  text(cell.lastElementChild, value);
  draw(cell.firstElementChild, series, ceiling);
}

function about(channel) {
  const relays = channel.relays ?? [];
  return [
    `${count(channel.members)} ${channel.members === 1 ? "member" : "members"}`,
    `${count(channel.speaking)} speaking`,
    channel.guild_id ? `guild ${channel.guild_id}` : null,
    channel.chat_server,
    channel.bitrate ? `${count(channel.bitrate / 1000)} kbit/s` : null,
    relays.length > 1 ? `relays ${relays.join(", ")}` : null,
  ].filter(Boolean).join(" · ");
}

function marks(member, role) {
  const flags = Object.keys(FLAGS).filter((flag) => member.flags?.[flag]).map((flag) => FLAGS[flag]);
  return [role, STATES[member.state] ?? member.state, ...flags, member.foreign ? "address mismatch" : ""].filter(Boolean);
}

/** By which means it takes part; its relay is of interest where a channel has several. */
function means(member, spread) {
  const version = member.gateway_version ? `v${member.gateway_version}` : null;
  const relay = spread && Number.isInteger(member.relay) ? `relay ${member.relay}` : null;
  // The names of modes differ in the middle alone.
  const mode = member.mode?.replace(/^aead_|_rtpsize$/g, "").replaceAll("_", " ");
  return [version, mode, relay].filter(Boolean).join(" · ");
}

/** The channels with most members, in their order. */
function most(views) {
  const chosen = views.toSorted((a, b) => b.channel.members - a.channel.members).slice(0, CHANNELS_MAX);
  return chosen.sort((a, b) => byId(a.channel.id, b.channel.id));
}

/** Who is shown where there are too many: the chosen pair, those who speak, and then whoever. */
function foremost(members, why) {
  const weight = (member) => (why.roleOf(member) ? 2 : member.speaking ? 1 : 0);
  return members.toSorted((a, b) => weight(b) - weight(a)).slice(0, ROWS_MAX);
}

function table() {
  const head = (label, name = "") => el("th", { role: "columnheader", scope: "col", class: name }, label);
  const heads = [head("Member"), head("In/s", "n"), head("Out/s", "n"), head("Loss", "n"), head("Jitter", "n"), head("Address"), head("Packets", "last")];
  return [
    el("table", { role: "table" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
      el("tbody", { role: "rowgroup" })),
    el("p", { class: "hint" }),
  ];
}
