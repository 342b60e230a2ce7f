// Counters become rates, and figures become text. Nothing here knows the page.

/** How many seconds of history a chart shows, at one sample a second. */
export const HISTORY = 60;
/** Over less than this a rate would be noise: readings that follow sooner are left out. */
const INTERVAL_MIN_MS = 400;

/** The last values of something that is looked at again and again. `null` where it was unknown. */
export class Series {
  values = [];

  push(value) {
    this.values.push(value);
    if (this.values.length > HISTORY) this.values.shift();
  }

  get last() {
    return this.values.at(-1) ?? null;
  }
}

/**
 * Several counters of one thing. A counter that went back means that the thing began anew, so
 * nothing is said of that interval.
 */
export class Meter {
  /** What was read at which moments; the newest last. */
  #readings = [];
  #series = new Map();

  /** Takes the totals at a moment in milliseconds; whether that was not too soon. */
  feed(at, totals) {
    const last = this.#readings.at(-1);
    if (last && at >= last.at && at - last.at < INTERVAL_MIN_MS) return false;
    const seconds = last ? (at - last.at) / 1000 : 0;
    for (const [name, total] of Object.entries(totals)) {
      const before = last?.totals[name];
      const known = seconds > 0 && total >= before;
      this.series(name).push(known ? (total - before) / seconds : null);
    }
    this.#readings.push({ at, totals });
    if (this.#readings.length > HISTORY) this.#readings.shift();
    return true;
  }

  /** Notes a value that is no counter. */
  note(name, value) {
    this.series(name).push(value);
  }

  series(name) {
    let series = this.#series.get(name);
    if (!series) this.#series.set(name, (series = new Series()));
    return series;
  }

  rate(name) {
    return this.series(name).last;
  }

  /** By how much a counter grew within the last minute. */
  lastMinute(name) {
    const last = this.#readings.at(-1);
    const first = this.#readings.find(({ at }) => last.at - at <= 60_000);
    return first ? Math.max(0, last.totals[name] - (first.totals[name] ?? 0)) : null;
  }

  /** The mean rate over what is remembered. */
  mean(name) {
    const known = this.series(name).values.filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  }
}

/** Meters by key; those that were not asked for between two sweeps are forgotten. */
export class Meters {
  #all = new Map();
  #used = new Set();

  of(key) {
    this.#used.add(key);
    let meter = this.#all.get(key);
    if (!meter) this.#all.set(key, (meter = new Meter()));
    return meter;
  }

  sweep() {
    for (const key of this.#all.keys()) if (!this.#used.has(key)) this.#all.delete(key);
    this.#used.clear();
  }

  clear() {
    this.#all.clear();
    this.#used.clear();
  }
}

/** The sum of a `{reason: count}` object, without some of its reasons. */
export function sum(counts, except = []) {
  let all = 0;
  for (const [name, count] of Object.entries(counts ?? {})) if (!except.includes(name)) all += count;
  return all;
}

/** The share of packets that never came, of a meter with `packets_in` and `lost`. */
export function lossShare(packets, lost) {
  if (packets === null || lost === null || packets + lost <= 0) return null;
  return lost / (packets + lost);
}

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const UNKNOWN = "–";

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** A count. */
export function count(value) {
  return missing(value) ? UNKNOWN : value >= 1e6 ? COMPACT.format(value) : WHOLE.format(value);
}

/** A rate: whole from ten on, and below that with a tenth, so that one packet in ten seconds shows. */
export function rate(value) {
  if (missing(value)) return UNKNOWN;
  if (value === 0 || value >= 9.95) return count(value);
  return value < 0.05 ? "<0.1" : TENTH.format(value);
}

/** A share as percent. */
export function percent(value) {
  if (missing(value)) return UNKNOWN;
  const hundred = value * 100;
  return hundred === 0 ? "0 %" : hundred < 0.05 ? "<0.1 %" : `${TENTH.format(hundred)} %`;
}

/** Bytes a second as bits a second. */
export function bits(bytes) {
  if (missing(bytes)) return UNKNOWN;
  const value = bytes * 8;
  if (value >= 1e9) return `${TENTH.format(value / 1e9)} G`;
  if (value >= 1e6) return `${TENTH.format(value / 1e6)} M`;
  if (value >= 1e3) return `${WHOLE.format(value / 1e3)} k`;
  return WHOLE.format(value);
}

export function milliseconds(value) {
  return missing(value) ? UNKNOWN : `${value < 9.95 ? TENTH.format(value) : WHOLE.format(value)} ms`;
}

/** A duration, in its two largest units. */
export function duration(ms) {
  if (missing(ms)) return UNKNOWN;
  const seconds = Math.floor(ms / 1000);
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, units.findIndex(([length]) => seconds >= length));
  if (seconds === 0) return "0 s";
  return units
    .slice(first, first + 2)
    .map(([length, name], at) => [at ? Math.floor((seconds % units[first][0]) / length) : Math.floor(seconds / length), name])
    .filter(([value], at) => !at || value > 0)
    .map(([value, name]) => `${value} ${name}`)
    .join(" ");
}

/** The order of ids, which are numbers as text and may exceed what a number can hold. */
export function byId(a, b) {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
