// Child processes with their output kept in memory. Every wait has a limit and every process that
// was started is ended again, by its id, whatever happens to the caller.
import { spawn } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const TERM_TO_KILL_MS = 5000;
const KILL_TO_GONE_MS = 2000;

const started = new Set();
let stopping = false;

/** Rejects with `what` when `promise` takes longer than `ms`. */
export function within(ms, what, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

export class Program {
  lines = [];
  #watchers = new Set();
  #log; // a file that gets the same lines

  constructor(name, command, args, { env = {}, logs, input = false } = {}) {
    if (stopping) throw new Error("stopping");
    this.name = name;
    this.child = spawn(command, args, {
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    started.add(this);
    this.#log = logs && join(logs, `${name}.log`);
    if (this.#log) writeFileSync(this.#log, "");
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.#add(line));
    }
    // "close" comes after "exit", when the last line has been read. It does not come when the
    // program could not be started at all.
    this.ended = new Promise((resolve) => {
      this.child.on("error", (e) => resolve(`could not be started: ${e.message}`));
      this.child.on("close", (code, signal) => resolve(signal ? `signal ${signal}` : `status ${code}`));
    });
    this.ended.then((how) => {
      this.how = how;
      started.delete(this);
    });
  }

  #add(line) {
    this.lines.push(line);
    if (this.#log) appendFileSync(this.#log, `${line}\n`);
    for (const watcher of this.#watchers) watcher(line);
  }

  get running() {
    return this.how === undefined;
  }

  /** Resolves with the first line, past or future, for which `test` is true. */
  async line(test, what, ms) {
    const past = this.lines.find(test);
    if (past !== undefined) return past;
    let watcher;
    const found = new Promise((resolve, reject) => {
      watcher = (line) => test(line) && resolve(line);
      this.#watchers.add(watcher);
      this.ended.then((how) => reject(new Error(`${this.name} ended (${how}) before: ${what}`)));
    });
    return within(ms, `${this.name}, waiting for: ${what}`, found).finally(() => this.#watchers.delete(watcher));
  }

  /** Ends it as a crash would. */
  async kill() {
    this.child.kill("SIGKILL");
    await within(KILL_TO_GONE_MS, `${this.name} after SIGKILL`, this.ended);
  }

  async stop() {
    for (const [signal, ms] of [["SIGTERM", TERM_TO_KILL_MS], ["SIGKILL", KILL_TO_GONE_MS]]) {
      if (!this.running) return;
      this.child.kill(signal);
      await within(ms, `${this.name} after ${signal}`, this.ended).catch(() => {});
    }
  }

  tail(count) {
    return [`--- ${this.name} (${this.how ?? "running"}), last lines:`, ...this.lines.slice(-count)].join("\n");
  }
}

export const isStopping = () => stopping;

/** Ends everything and lets nothing new start. */
export async function stopAll() {
  stopping = true;
  await Promise.all([...started].map((p) => p.stop()));
}

// The last resort, for an exit that did not come through stopAll().
process.on("exit", () => {
  for (const p of started) p.child.kill("SIGKILL");
});
