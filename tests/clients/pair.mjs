#!/usr/bin/env node
// The judge: starts a voice server, plays its chat server, lets one real client speak and another
// listen, in every direction, and says whether each frame arrived unchanged.
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ChatServer } from "./chat-server.mjs";
import { Program, isStopping, stopAll, within } from "./programs.mjs";
import { Rooms } from "./rooms.mjs";
import { freePorts, makeCertificates, roomsArguments, writeConfig } from "./setup.mjs";

const USAGE = `\
pair.mjs [--server FILE] [--rooms] [--songbird FILE] [--python FILE] [--only TEXT] [--logs DIR]
  --server    the server program        (default: target/release/lvsp-mio)
  --rooms     the server program is the example of runtime-tokio: rooms over HTTP in place of LVSP
  --songbird  the built songbird client (default: songbird/target/debug/voice-harness-songbird)
  --python    a Python that has discord.py; without it its directions are left out
  --only      run the directions whose name contains this, for example "songbird -> "
  --logs      keep the output of every program in this folder
`;

const FRAMES = 300; // 6 s of speech
const SPEAKER_SECONDS = 10; // 1 s of pause, the speech, and time for a late start on a busy machine
// The listener is there before the speaker, and still there after it, however long that takes to start.
const LISTENER_SECONDS = 60;
const AFTER_FIRST_SECONDS = 14;
const READY_MS = 20_000;
const CONNECT_MS = 20_000; // the clients themselves give up after 10 s
const SPARE_MS = 20_000; // between a client's last second and its last line
const TAIL_LINES = 25;

const AES = "aead_aes256_gcm_rtpsize";
const XCHACHA = "aead_xchacha20_poly1305_rtpsize";
// The mode that each library takes when it is left alone.
const MODES = { songbird: AES, discordjs: AES, "discord.py": XCHACHA, eris: "xsalsa20_poly1305" };

const DIRECTIONS = [
  { speaker: "songbird", listener: "songbird" },
  { speaker: "songbird", listener: "discordjs" },
  { speaker: "discordjs", listener: "songbird" },
  { speaker: "discordjs", listener: "discordjs" },
  // A server that forwards what it got, instead of sealing it anew for each listener, fails only here.
  { speaker: "songbird", listener: "discordjs", speakerMode: XCHACHA },
  { speaker: "songbird", listener: "discord.py" },
  { speaker: "discord.py", listener: "discord.py" },
  { speaker: "eris", listener: "songbird" },
  { speaker: "discordjs", listener: "eris" },
].map((d, index) => ({
  ...d,
  // What the libraries of these directions need is off unless the configuration asks for it.
  legacy: d.speaker === "eris" || d.listener === "eris",
  name: `${d.speaker} -> ${d.listener}${d.speakerMode ? ", mixed modes" : ""}`,
  // Ids of its own, above 2^53, so that an id which became a floating point number shows.
  channel: String(127121515262115841n + 2n * BigInt(index)),
  users: { speaker: String(80351110224678913n + 4n * BigInt(index)), listener: String(80351110224678915n + 4n * BigInt(index)) },
}));
const GUILD = "41771983423143937";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

function readOptions() {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: {
      server: text(here("../../target/release/lvsp-mio")),
      songbird: text(here("songbird/target/debug/voice-harness-songbird")),
      python: { type: "string" },
      only: text(""),
      rooms: { type: "boolean", default: false },
      logs: { type: "string" },
    },
  });
  if (values.logs) mkdirSync(values.logs, { recursive: true });
  return { ...values, server: resolve(values.server), songbird: resolve(values.songbird) };
}

async function startServer(options, dir, ca, legacy) {
  const ports = await freePorts();
  const secret = randomBytes(24).toString("hex");
  const config = () => writeConfig(dir, ports, secret, legacy ? { media: "legacy_modes = true" } : {});
  const args = options.rooms ? roomsArguments(dir, ports) : ["serve", "--config", config()];
  const server = new Program("server", options.server, args, options);
  try {
    // A whole word: "address already in use" holds these letters too.
    await server.line((line) => /\bready\b/i.test(line), "a line with the word ready", READY_MS);
    const chat = options.rooms
      ? new Rooms(ports.control)
      : await ChatServer.connect(ports.control, readFileSync(ca), secret);
    return { server, chat };
  } catch (e) {
    await server.stop();
    e.message += `\n${server.tail(TAIL_LINES)}`;
    throw e;
  }
}

function startClient(run, direction, role, voice) {
  const { options, ca } = run;
  const kind = direction[role];
  const args = [
    "--endpoint", voice.endpoint, "--token", voice.token, "--session-id", voice.session_id,
    "--guild-id", GUILD, "--channel-id", direction.channel, "--user-id", direction.users[role], "--ca", ca,
  ];
  if (role === "speaker") args.push("--role", "speak", "--seconds", SPEAKER_SECONDS, "--frames", FRAMES);
  else args.push("--role", "listen", "--seconds", LISTENER_SECONDS, "--after-first", AFTER_FIRST_SECONDS);
  if (role === "speaker" && direction.speakerMode) args.push("--mode", direction.speakerMode);

  const name = `${direction.name} ${role}`.replace(/[^a-z]+/g, "-");
  const commands = {
    songbird: [options.songbird],
    discordjs: [process.execPath, here("discordjs/harness.mjs")],
    "discord.py": [options.python, here("discordpy/harness.py")],
    eris: [process.execPath, here("eris/harness.mjs")],
  };
  const [command, ...before] = commands[kind];
  // With this the discord.js harness need not start itself a second time, out of our reach.
  const env = { NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: ca };
  return new Program(name, command, [...before, ...args].map(String), { env, logs: options.logs });
}

function parseEvent(line) {
  try {
    return JSON.parse(line);
  } catch {
    return {}; // what a library prints by itself
  }
}

const summaryOf = (program) => program.lines.map(parseEvent).find((e) => e.ev === "summary");

async function talk(run, direction, programs) {
  const { chat, server } = run;
  const member = (role) => ({ user_id: direction.users[role], channel_id: direction.channel, guild_id: GUILD });
  if (!server.running) throw new Error(`the server ended (${server.how})`);

  const listener = startClient(run, direction, "listener", await chat.join(member("listener")));
  programs.push(listener);
  // Who is not there yet hears nothing, so the speaker waits for the listener.
  await listener.line((line) => parseEvent(line).ev === "connected", "connected", CONNECT_MS);
  const speaker = startClient(run, direction, "speaker", await chat.join(member("speaker")));
  programs.push(speaker);

  const limit = CONNECT_MS + LISTENER_SECONDS * 1000 + SPARE_MS;
  await within(limit, "the end of both clients", Promise.all([speaker.ended, listener.ended]));
  chat.check();
  if (!server.running) throw new Error(`the server ended (${server.how})`);
  return { speaker, listener };
}

/** Everything that is wrong with a finished call, and the line that says what was seen. */
function judge(direction, { speaker, listener }) {
  const faults = [];
  const expect = (what, is, want) => is === want || faults.push(`${what}: ${is}, not ${want}`);
  expect("end of the speaker", speaker.how, "status 0");
  expect("end of the listener", listener.how, "status 0");

  const [said, heard] = [summaryOf(speaker), summaryOf(listener)];
  const streams = (heard?.received ?? []).filter((r) => r.payloads > 0);
  expect("streams with audio", streams.length, 1);
  const [got] = streams;
  expect("frames sent", said?.sent?.frames, FRAMES);
  expect("frames intact", got?.intact, FRAMES);
  for (const kind of ["damaged", "foreign", "repeated"]) expect(`frames ${kind}`, got?.[kind], 0);
  expect("sha256", got?.sha256, said?.sent?.sha256);
  expect("user behind the audio", got?.user_id, direction.users.speaker);

  // A lost connection that the library repaired by itself must not go unseen.
  for (const [role, s] of [["speaker", said], ["listener", heard]]) {
    expect(`connections lost by the ${role}`, s?.closes?.length, 0);
    expect(`resumes of the ${role}`, s?.resumes, 0);
  }
  const modes = [said, heard].map((s) => s?.session?.mode);
  expect("mode of the speaker", modes[0], direction.speakerMode ?? MODES[direction.speaker]);
  expect("mode of the listener", modes[1], MODES[direction.listener]);
  return { faults, seen: `${got?.intact ?? 0} of ${FRAMES} intact, ${modes.join(" -> ")}` };
}

async function runDirection(run, direction) {
  const programs = [run.server];
  try {
    const { faults, seen } = judge(direction, await talk(run, direction, programs));
    if (faults.length > 0) throw new Error([seen, ...faults].join("\n  "));
    console.log(`pass  ${direction.name}: ${seen}, same sha256`);
    return true;
  } catch (e) {
    if (isStopping()) return false; // interrupted: what went wrong is no news
    for (const p of programs.slice(1)) await p.stop();
    console.log(`FAIL  ${direction.name}: ${e.message}`);
    for (const p of programs) console.log(p.tail(TAIL_LINES));
    return false;
  }
}

/** One server, and what is to be said through it; how many directions passed. */
async function runDirections(options, dir, ca, legacy, directions) {
  let passed = 0;
  try {
    const run = { options, ca, ...(await startServer(options, dir, ca, legacy)) };
    for (const direction of directions) if (await runDirection(run, direction)) passed++;
    run.chat.close();
    await run.server.stop();
  } catch (e) {
    if (!isStopping()) console.log(`FAIL  ${e.message}`);
  }
  return passed;
}

/** The example of runtime-tokio serves no old modes. */
function possible(options, { speaker, listener, legacy }) {
  return (options.python || ![speaker, listener].includes("discord.py")) && !(options.rooms && legacy);
}

async function main(options) {
  const directions = DIRECTIONS.filter((d) => d.name.includes(options.only) && possible(options, d));
  const dir = mkdtempSync(join(tmpdir(), "voice-pair-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const ca = makeCertificates(dir);
  let passed = 0;
  for (const legacy of [false, true]) {
    const these = directions.filter((d) => d.legacy === legacy);
    if (these.length > 0 && !isStopping()) passed += await runDirections(options, dir, ca, legacy, these);
  }
  await stopAll();
  console.log(`${passed} passed, ${directions.length - passed} failed`);
  return passed === directions.length && passed > 0 ? 0 : 1;
}

for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]]) {
  process.on(signal, () => stopAll().finally(() => process.exit(128 + number)));
}

let options;
try {
  options = readOptions();
} catch (e) {
  process.stderr.write(`${e.message}\n${USAGE}`);
  process.exit(2);
}
process.exit(await main(options));
