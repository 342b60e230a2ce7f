#!/usr/bin/env node
// What happens to calls in real life, with real clients: connections that break, late joins, moves,
// restarts. Each scenario has servers of its own and judges every frame that was heard.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isStopping, stopAll, within } from "./programs.mjs";
import { makeCertificates } from "./setup.mjs";
import { Stage } from "./stage.mjs";

const USAGE = `\
scenarios.mjs [--server FILE] [--songbird FILE] [--python FILE] [--only TEXT] [--at-once N] [--logs DIR]
  --python    a Python that has discord.py; without it that scenario is left out
`;
const CHANNEL = "127121515262115841";
const OTHER = "127121515262115843";
const XCHACHA = "aead_xchacha20_poly1305_rtpsize";
const TAIL_LINES = 25;
const SPARE_MS = 30_000;
const FRAME_MS = 20;
const PATIENCE_SECONDS = 90;

const pause = (ms) => new Promise((go) => setTimeout(go, ms));
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A listener that stays so many seconds once it hears somebody, however long that takes to start. */
const listen = (seconds) => ["--role", "listen", "--seconds", PATIENCE_SECONDS, "--after-first", seconds];

/** A speaker of `frames` frames and the listeners that are there before it. */
async function call(stage, { speaker, listeners, frames, speak = [], stay = 0 }) {
  const seconds = (frames * FRAME_MS) / 1000 + 4 + stay;
  const heard = listeners.map(([kind, channel = CHANNEL, args = []]) =>
    stage.client(kind, channel, [...listen(seconds + 2), ...args]));
  await Promise.all(heard.map((client) => client.connected));
  const said = stage.client(speaker, CHANNEL, ["--role", "speak", "--seconds", seconds, "--frames", frames, ...speak]);
  await said.connected;
  const began = await Promise.race(heard.map((client) => client.event((e) => e.ev === "first-frame", "a frame", SPARE_MS)));
  return { said, heard, began, ends: (PATIENCE_SECONDS + seconds) * 1000 + SPARE_MS };
}

const finished = ({ said, heard, ends }, more = []) =>
  within(ends, "the end of all clients", Promise.all([said, ...heard, ...more].map((client) => client.program.ended)));

/** What was heard of a user, over all streams that it had. */
function heardOf(client, user) {
  const streams = (client.summary?.received ?? []).filter((s) => s.user_id === user && s.intact > 0);
  const sum = (key) => streams.reduce((total, s) => total + s[key], 0);
  return {
    streams: streams.length, intact: sum("intact"), gaps: sum("gaps"), wrong: sum("damaged") + sum("foreign") + sum("repeated"),
    first: Math.min(...streams.map((s) => s.first_index)), last: Math.max(...streams.map((s) => s.last_index)),
  };
}

class Verdict {
  faults = [];
  expect(what, is, wanted) {
    const right = typeof wanted === "function" ? wanted(is) : is === wanted;
    if (!right) this.faults.push(`${what}: ${is}${typeof wanted === "function" ? "" : `, not ${wanted}`}`);
  }
  /** Every frame, once, in order. */
  whole(name, heard, frames) {
    this.expect(`${name}: intact frames`, heard.intact, frames);
    this.expect(`${name}: other frames`, heard.wrong, 0);
  }
}

const SCENARIOS = [
  ...[["songbird", "discordjs"], ["discordjs", "songbird"]].map(([speaker, listener]) => ({
    name: `resume after broken connections, ${speaker} to ${listener}`,
    async play(stage, verdict) {
      const speak = speaker === "songbird" ? ["--mode", XCHACHA] : [];
      const scene = await call(stage, { speaker, listeners: [[listener]], frames: 500, speak });
      await pause(2_000);
      stage.proxy.breakAll();
      await finished(scene);
      const [client] = scene.heard;
      verdict.whole(listener, heardOf(client, scene.said.user), 500);
      for (const c of [scene.said, client]) verdict.expect(`resumes of ${c.user}`, c.summary?.resumes, 1);
      return "500 of 500 over a broken connection of both";
    },
  })),
  ...[["songbird", "discordjs"], ["discordjs", "songbird"]].map(([speaker, listener]) => ({
    name: `4015 in a silence, ${speaker} to ${listener}`,
    config: { sections: "[limits]\nkey_soft_packets = 1024\n" },
    async play(stage, verdict) {
      const speak = ["--pause", "1100:8"];
      const scene = await call(stage, { speaker, listeners: [[listener]], frames: 1_400, speak, stay: 8 });
      await finished(scene);
      const [client] = scene.heard;
      verdict.whole(listener, heardOf(client, scene.said.user), 1_400);
      // songbird says only that it has connected anew.
      const renewed = (e) => e.ev === "reconnected" || (e.ev === "ws-closed" && e.code === 4015);
      verdict.expect("the listener's session was renewed", client.events.some(renewed), true);
      return "1400 of 1400 with the listener's session renewed in between";
    },
  })),
  ...["songbird", "discordjs"].map((late) => ({
    name: `late join of ${late}`,
    async play(stage, verdict) {
      const scene = await call(stage, { speaker: "discordjs", listeners: [["songbird"]], frames: 400 });
      await pause(1_500);
      const newcomer = stage.client(late, CHANNEL, listen(10));
      await finished(scene, [newcomer]);
      verdict.whole("the first listener", heardOf(scene.heard[0], scene.said.user), 400);
      const heard = heardOf(newcomer, scene.said.user);
      verdict.expect("first frame of the newcomer", heard.first, (index) => index > 50 && index < 350);
      verdict.expect("last frame of the newcomer", heard.last, 399);
      verdict.whole("the newcomer", heard, 400 - heard.first);
      return `every frame from ${heard.first} on`;
    },
  })),
  ...["songbird", "discordjs"].map((speaker) => ({
    name: `mute and unmute of ${speaker}`,
    async play(stage, verdict) {
      const scene = await call(stage, { speaker, listeners: [["songbird"], ["discordjs"]], frames: 400 });
      await pause(2_000);
      stage.order({ do: "flags", user: scene.said.user, mute: true });
      await pause(2_000);
      stage.order({ do: "flags", user: scene.said.user, mute: false });
      await finished(scene);
      for (const client of scene.heard) {
        const heard = heardOf(client, scene.said.user);
        verdict.expect("first and last frame", `${heard.first} ${heard.last}`, "0 399");
        verdict.expect("gaps", heard.gaps, 1);
        verdict.expect("frames unheard", 400 - heard.intact, (count) => count > 70 && count < 130);
        verdict.expect("other frames", heard.wrong, 0);
      }
      return "one gap while muted, all else heard";
    },
  })),
  ...["songbird", "discordjs"].map((speaker) => ({
    name: `move of ${speaker}`,
    async play(stage, verdict) {
      const listeners = [["discordjs", CHANNEL], ["songbird", OTHER]];
      const scene = await call(stage, { speaker, listeners, frames: 600 });
      await pause(2_000);
      stage.order({ do: "move", user: scene.said.user, channel: OTHER });
      await finished(scene);
      const [old, next] = scene.heard.map((client) => heardOf(client, scene.said.user));
      verdict.expect("first frame in the old channel", old.first, 0);
      verdict.expect("last frame in the new channel", next.last, 599);
      verdict.expect("the old channel ends before the new one begins", next.first - old.last, (gap) => gap > 0 && gap < 250);
      verdict.whole("the old channel", old, old.last + 1);
      verdict.whole("the new channel", next, 600 - next.first);
      return `heard in one up to ${old.last}, in the other from ${next.first}`;
    },
  })),
  ...["songbird", "discordjs"].map((speaker) => ({
    name: `leave of ${speaker}`,
    async play(stage, verdict) {
      const scene = await call(stage, { speaker, listeners: [["songbird"], ["discordjs"]], frames: 400 });
      await pause(2_000);
      stage.order({ do: "kick", user: scene.said.user });
      for (const client of scene.heard) {
        const gone = (e) => e.ev === "client-disconnect" && e.user_id === scene.said.user;
        await client.event(gone, "the speaker's leave", 5_000);
      }
      await finished(scene);
      verdict.expect("end of the speaker", scene.said.summary?.ended, "left");
      for (const client of scene.heard) {
        const heard = heardOf(client, scene.said.user);
        verdict.whole("until the leave", heard, heard.last + 1);
        verdict.expect("last frame", heard.last, (index) => index > 50 && index < 200);
      }
      return "its audio stopped, the others were told";
    },
  })),
  ...[["crash", 0], ["drain", 0], ["drain", 3], ["drain", 8]].flatMap(([how, gap]) => [["songbird", "discordjs"], ["discordjs", "songbird"]].map(([speaker, listener]) => ({
    name: `${how} of the server, back ${gap === 0 ? "at once" : `after ${gap} s`}, ${speaker} to ${listener}`,
    config: { sections: "[drain]\nseconds = 0\n" },
    async play(stage, verdict) {
      // discord.js pauses its player while it is away, and says the rest later.
      const frames = 900 + (gap * 1_000) / FRAME_MS;
      const scene = await call(stage, { speaker, listeners: [[listener]], frames, stay: 8 + 2 * gap });
      await pause(2_000);
      if (how === "crash") await stage.server.kill();
      else await stage.server.stop();
      await pause(gap * 1_000);
      await stage.startServer();
      await finished(scene);
      const heard = heardOf(scene.heard[0], scene.said.user);
      // songbird tries for 10 to 12 s after its connection ended, which is up to 2 s after another's.
      const most = 750 + (gap * 1_000) / FRAME_MS;
      verdict.expect("last frame", heard.last, frames - 1);
      verdict.expect("frames lost", frames - heard.intact, (lost) => lost < most);
      verdict.expect("other frames", heard.wrong, 0);
      return `both came back by themselves, ${frames - heard.intact} frames lost meanwhile`;
    },
  }))),
  {
    name: "broken control link",
    async play(stage, verdict) {
      const scene = await call(stage, { speaker: "songbird", listeners: [["discordjs"]], frames: 500 });
      await pause(2_000);
      const back = stage.breakControl();
      // Ordered while the link is down: it has to be carried out all the same.
      stage.order({ do: "flags", user: scene.said.user, mute: true });
      await back;
      await pause(2_000);
      stage.order({ do: "flags", user: scene.said.user, mute: false });
      await finished(scene);
      const heard = heardOf(scene.heard[0], scene.said.user);
      verdict.expect("first and last frame", `${heard.first} ${heard.last}`, "0 499");
      verdict.expect("gaps", heard.gaps, 1);
      verdict.expect("frames unheard", 500 - heard.intact, (count) => count > 70 && count < 150);
      verdict.expect("other frames", heard.wrong, 0);
      for (const c of [scene.said, ...scene.heard]) verdict.expect("connections lost", c.summary?.closes?.length, 0);
      return "resumed, the mute ordered meanwhile took effect, and no call broke";
    },
  },
  {
    name: "restart of the chat server",
    async play(stage, verdict) {
      const scene = await call(stage, { speaker: "songbird", listeners: [["discordjs"]], frames: 500 });
      await pause(2_000);
      await stage.restartChat();
      await finished(scene);
      verdict.whole("discordjs", heardOf(scene.heard[0], scene.said.user), 500);
      for (const c of [scene.said, ...scene.heard]) verdict.expect("connections lost", c.summary?.closes?.length, 0);
      return "500 of 500, nobody noticed";
    },
  },
  {
    name: "discord.py to songbird and discord.js",
    python: true,
    async play(stage, verdict) {
      const listeners = [["songbird"], ["discordjs"]];
      const scene = await call(stage, { speaker: "discord.py", listeners, frames: 300 });
      await finished(scene);
      for (const client of scene.heard) verdict.whole(client.user, heardOf(client, scene.said.user), 300);
      verdict.expect("mode of discord.py", scene.said.summary?.session?.mode, XCHACHA);
      return `300 of 300 to both, ${XCHACHA}`;
    },
  },
];

async function run(options, scenario) {
  const verdict = new Verdict();
  let stage;
  try {
    stage = await Stage.open(scenario.name.replace(/[^a-z0-9]+/gi, "-"), options, scenario.config);
    const seen = await scenario.play(stage, verdict);
    if (verdict.faults.length > 0) throw new Error(verdict.faults.join("\n  "));
    console.log(`pass  ${scenario.name}: ${seen}`);
    return true;
  } catch (e) {
    if (isStopping()) return false;
    console.log(`FAIL  ${scenario.name}: ${e.message}`);
    for (const program of stage?.programs ?? []) console.log(program.tail(TAIL_LINES));
    return false;
  } finally {
    await stage?.close();
  }
}

async function main(options) {
  const wanted = SCENARIOS.filter((s) => s.name.includes(options.only) && (options.python || !s.python));
  const dir = mkdtempSync(`${tmpdir()}/voice-scenarios-`);
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const all = { ...options, dir, ca: makeCertificates(dir) };
  const queue = [...wanted];
  let passed = 0;
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) if (await run(all, next)) passed++;
  };
  await Promise.all(Array.from({ length: Number(options["at-once"]) }, work));
  await stopAll();
  console.log(`${passed} passed, ${wanted.length - passed} failed`);
  return passed === wanted.length && passed > 0 ? 0 : 1;
}

for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]]) {
  process.on(signal, () => stopAll().finally(() => process.exit(128 + number)));
}

let options;
try {
  const text = (value) => ({ type: "string", default: value });
  ({ values: options } = parseArgs({
    options: {
      server: text(here("../../target/release/lvsp-mio")),
      songbird: text(here("songbird/target/debug/voice-harness-songbird")),
      python: { type: "string" },
      only: text(""),
      "at-once": text("3"),
      logs: { type: "string" },
    },
  }));
  if (options.logs) mkdirSync(options.logs, { recursive: true });
  for (const key of ["server", "songbird"]) options[key] = resolve(options[key]);
} catch (e) {
  process.stderr.write(`${e.message}\n${USAGE}`);
  process.exit(2);
}
process.exit(await main(options));
