// The header, the tiles, and what is of the whole server: drops, relays, closed connections.

import { $, attribute, chart, draw, el, list, text } from "./dom.js";
import { Meter, Meters, bits, count, duration, lossShare, percent, rate, sum } from "./figures.js";
import { CLOSES, DROPS, EXPECTED, RESUMES } from "./words.js";

const TILES = [
  { key: "in", title: "Packets in", unit: "/s", ceiling: 10 },
  { key: "out", title: "Packets out", unit: "/s", ceiling: 10 },
  { key: "sessions", title: "Sessions", ceiling: 4 },
  { key: "channels", title: "Channels", ceiling: 4 },
  { key: "loss", title: "Incoming packet loss", ceiling: 0.05 },
  { key: "dropped", title: "Packets dropped", unit: "/s", ceiling: 5 },
];

/** Below this share, chat servers that assign by health soon prefer another server. */
const HEALTH_LOW = 0.25;
/** Its client comes and goes with `lvsp-mio probe`. */
const PROBE = "probe";

const STATES = {
  ready: "ready",
  draining: "draining",
  starting: "not ready",
  unreachable: "unreachable",
};

export class Overview {
  #meter = new Meter();
  #drops = new Meter();
  #closes = new Meter();
  #relays = new Meters();

  constructor() {
    for (const tile of TILES) {
      tile.figure = el("span", { class: "figure" }, "–");
      tile.note = el("span", { class: "note" });
      tile.chart = chart();
      const figure = el("p", {}, tile.figure, tile.unit ? el("span", { class: "unit" }, tile.unit) : "");
      $("tiles").append(el("article", { class: "tile", "data-tile": tile.key }, el("h2", {}, tile.title), figure, tile.note, tile.chart));
    }
  }

  /** Another process answers: what was counted before is no base any more. */
  forget() {
    this.#meter = new Meter();
    this.#drops = new Meter();
    this.#closes = new Meter();
    this.#relays.clear();
  }

  unreachable() {
    this.#state("unreachable");
  }

  take(status, channels) {
    this.#head(status);
    this.#tiles(status, channels);
    this.#reasons("drops", this.#drops, status, DROPS, (meter, reason) => rate(meter.rate(reason)));
    // Single events would flicker as a rate.
    this.#reasons("closes", this.#closes, status, CLOSES, (meter, reason) => count(meter.lastMinute(reason)));
    this.#table(status);
    this.#resumes(status.resumes ?? {});
  }

  #state(state) {
    const pill = $("state");
    text(pill, STATES[state]);
    attribute(pill, "data-state", state);
    document.title = `lvsp · ${STATES[state]}`;
  }

  #head(status) {
    this.#state(status.draining ? "draining" : status.ready ? "ready" : "starting");
    const { health = null } = status;
    text($("health"), percent(health));
    attribute($("health"), "data-low", health !== null && health < HEALTH_LOW ? "true" : null);
    text($("uptime"), duration(status.uptime_ms));
    const links = status.control_links ?? [];
    const make = () => el("li", {}, el("span", { class: "lamp", "aria-hidden": "true" }), el("span", {}));
    list($("links"), links.length ? links : [{ name: "", none: true }], (link) => link.name, make, (node, link) => {
      const state = !link.connected && link.name === PROBE ? "resting" : String(Boolean(link.connected));
      attribute(node, "data-connected", state);
      text(node.lastElementChild, linkWords(link));
    });
  }

  #tiles(status, channels) {
    const relays = status.relays ?? [];
    const of = (name) => relays.reduce((all, relay) => all + (relay[name] ?? 0), 0);
    const totals = { in: of("packets_in"), out: of("packets_out"), dropped: sum(status.drops, EXPECTED) };
    const fresh = this.#meter.feed(status.uptime_ms, totals);
    const [packets, lost] = channels.flow();
    const loss = lossShare(packets, lost);
    const { sessions = null, voice_states: expected = null, channels: known = channels.all.length } = status.census ?? {};
    const gauges = { sessions, channels: known, loss, packets, lost };
    if (fresh) for (const [name, value] of Object.entries(gauges)) this.#meter.note(name, value);
    const speaking = channels.all.reduce((all, channel) => all + channel.speaking, 0);
    const shown = {
      in: [rate(this.#meter.rate("in"))],
      out: [rate(this.#meter.rate("out"))],
      sessions: [count(sessions), expected === null ? "" : `${count(expected)} expected`],
      channels: [count(known), speaking === 1 ? "1 speaking" : `${count(speaking)} speaking`],
      loss: [percent(lossShare(this.#meter.mean("packets"), this.#meter.mean("lost"))), "last 60 s, open channels"],
      dropped: [rate(this.#meter.rate("dropped")), "without expected drops"],
    };
    for (const tile of TILES) {
      const [figure, note = ""] = shown[tile.key];
      text(tile.figure, figure);
      text(tile.note, note);
      draw(tile.chart, this.#meter.series(tile.key), tile.ceiling);
    }
  }

  /** A table of counts by reason: those that ever occurred, and what they mean. */
  #reasons(name, meter, status, words, lately) {
    const counts = status[name] ?? {};
    meter.feed(status.uptime_ms, counts);
    const seen = Object.keys(counts).filter((reason) => counts[reason] > 0);
    $(name).hidden = seen.length === 0;
    $(`${name}-empty`).hidden = seen.length > 0;
    const make = (reason) => {
      const meaning = el("span", { class: "meaning" }, words[reason] ?? "");
      const row = el("tr", {}, el("th", { scope: "row" }, el("code", {}, reason), meaning), el("td", { class: "n" }), el("td", { class: "n" }));
      if (EXPECTED.includes(reason)) row.className = "expected";
      attribute(row, "data-reason", reason);
      return row;
    };
    list($(name).tBodies[0], seen, (reason) => reason, make, (row, reason) => {
      text(row.cells[1], lately(meter, reason));
      text(row.cells[2], count(counts[reason]));
      row.classList.toggle("active", meter.rate(reason) > 0);
    });
  }

  #table(status) {
    const head = () => el("th", { scope: "row" }, el("span", {}), el("span", { class: "address" }));
    const make = () => el("tr", {}, head(), ...Array.from({ length: 5 }, () => el("td", { class: "n" })));
    list($("relays").tBodies[0], status.relays ?? [], (relay) => String(relay.id), make, (row, relay) => {
      const meter = this.#relays.of(String(relay.id));
      const { packets_in = 0, packets_out = 0, bytes_out = 0, send_errors = 0 } = relay;
      meter.feed(status.uptime_ms, { packets_in, packets_out, bytes_out, send_errors });
      text(row.cells[0].firstElementChild, `${relay.id}${relay.behind ? " · behind" : ""}`);
      text(row.cells[0].lastElementChild, relay.address ?? "");
      row.classList.toggle("bad", Boolean(relay.behind));
      const shown = [
        count(relay.legs), rate(meter.rate("packets_in")), rate(meter.rate("packets_out")),
        bits(meter.rate("bytes_out")), count(send_errors),
      ];
      shown.forEach((value, at) => text(row.cells[at + 1], value));
    });
    this.#relays.sweep();
  }

  #resumes(resumes) {
    const make = ([name]) => el("div", {}, el("dt", {}, RESUMES[name] ?? name), el("dd", {}));
    list($("resumes"), Object.entries(resumes), ([name]) => name, make, (node, [, value]) => {
      text(node.lastElementChild, typeof value === "number" ? count(value) : String(value));
    });
  }
}

function linkWords(link) {
  if (link.none) return "No chat server has connected yet";
  const name = link.name || "chat server";
  const since = link.since_ms === null || link.since_ms === undefined ? "" : ` for ${duration(link.since_ms)}`;
  return link.connected ? `${name} · ${link.revision ?? "LVSP"} · connected${since}` : `${name} · not connected${since}`;
}
