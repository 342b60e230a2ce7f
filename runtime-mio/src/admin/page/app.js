// Asks the server once a second and shows what it says. One round of requests at a time: the next
// one begins after the last one ended, however long it took, so nothing piles up.

import { Channels } from "./channels.js";
import { $, announce, text } from "./dom.js";
import { Overview } from "./overview.js";
import { Why } from "./why.js";

const PERIOD_MS = 1000;
/** While the tab is hidden. */
const HIDDEN_MS = 15_000;
/** A request that takes longer counts as unanswered. */
const PATIENCE_MS = 5000;
const RETRY_MAX_MS = 10_000;

/** The server answered, but not with what was asked for. */
class Unexpected extends Error {}

/** What stands at a path, or null where there is nothing (any more). */
async function get(path, signal) {
  const answer = await fetch(path, { signal, cache: "no-store", headers: { accept: "application/json" } });
  if (answer.status === 404) return null;
  if (answer.ok) return answer.json();
  const { error = `it answered ${path} with HTTP status ${answer.status}` } = await answer.json().catch(() => ({}));
  throw new Unexpected(error);
}

class Page {
  #timer = null;
  #busy = false;
  #again = false;
  #failures = 0;
  #failedAt = null;
  #uptime = null;
  #version = null;

  constructor() {
    const poke = () => this.poke();
    this.why = new Why(poke);
    this.channels = new Channels(this.why, poke);
    this.overview = new Overview();
    $("retry").addEventListener("click", poke);
    document.addEventListener("visibilitychange", () => document.hidden || poke());
  }

  /** Asks now, or as soon as the present round is over. */
  poke() {
    if (this.#busy) this.#again = true;
    else this.#round();
  }

  async #round() {
    clearTimeout(this.#timer);
    this.#busy = true;
    this.#again = false;
    const begun = performance.now();
    try {
      await this.#ask(AbortSignal.timeout(PATIENCE_MS));
      this.#reached();
    } catch (error) {
      this.#failed(error);
    }
    this.#busy = false;
    const pause = this.#pause(performance.now() - begun);
    this.#timer = setTimeout(() => this.#round(), pause);
  }

  #pause(spent) {
    if (this.#again && !this.#failures) return 0;
    if (document.hidden) return HIDDEN_MS;
    if (this.#failures) return Math.min(PERIOD_MS * 2 ** (this.#failures - 1), RETRY_MAX_MS);
    return Math.max(PERIOD_MS - spent, PERIOD_MS / 4);
  }

  async #ask(signal) {
    const pair = this.why.path();
    const wanted = this.channels.wanted();
    const [status, channels, explained, ...members] = await Promise.all([
      get("v1/status", signal),
      get("v1/channels", signal),
      pair && get(pair, signal),
      ...wanted.map((path) => get(path, signal)),
    ]);
    if (!status || !channels) throw new Unexpected("it does not know v1/status; is this the server's own address?");
    this.#notice(status);
    this.channels.take(channels.channels, members.flatMap((answer) => answer?.members ?? []), wanted.length > 0);
    this.overview.take(status, this.channels);
    if (pair) this.why.take(pair, explained);
  }

  /** Another process, or another version, answers than before. */
  #notice({ uptime_ms: uptime, version }) {
    if (this.#uptime !== null && uptime < this.#uptime) {
      this.channels.forget();
      this.overview.forget();
      announce("The server was restarted.");
    }
    this.#uptime = uptime;
    this.#version ??= version;
    const anew = version === this.#version ? "" : " (reload this page: it is from the version before)";
    text($("version"), `${version}${anew}`);
  }

  #reached() {
    if (this.#failures && $("news").textContent === "") announce("The server answers again.");
    this.#failures = 0;
    this.#failedAt = null;
    $("offline").hidden = true;
    delete document.body.dataset.stale;
  }

  #failed(error) {
    this.#failures += 1;
    this.#failedAt ??= new Date();
    if (!(error instanceof Unexpected) && !(error instanceof TypeError) && error.name !== "TimeoutError") console.warn(error);
    const why = error instanceof Unexpected ? error.message
      : error.name === "TimeoutError" ? `it took longer than ${PATIENCE_MS / 1000} s`
      : error instanceof TypeError ? "nothing is listening there, or the connection is cut" : String(error);
    const since = this.#failedAt.toLocaleTimeString("en-GB");
    text($("offline-words"), `The server has not answered since ${since}: ${why}. This page keeps trying; the figures below are out of date.`);
    announce("");
    $("offline").hidden = false;
    document.body.dataset.stale = "true";
    this.overview.unreachable();
  }
}

new Page().poke();
