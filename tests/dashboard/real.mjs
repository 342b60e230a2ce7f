// What must hold of a real server: twelve voice clients of tests/live sit in two channels and talk in
// turns. One of them is muted and goes on sending, one is deafened, one loses its network.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";
import { DESK, PHONE } from "./browser.mjs";
import { Program } from "../clients/programs.mjs";

const FIRST = "1001";
const SECOND = "1002";
const TALKER = "10001";
const VANISHING = "10002";
const MUTED = "10009";
const DEAFENED = "10010";
const READY_MS = 60_000;
/** A pcapng file begins with a Section Header Block. */
const PCAPNG = "0a0d0d0a";

const row = (user) => `tr[data-user="${user}"]`;
const choose = (user) => `${row(user)} .choose`;
const unanswered = (line) => line.includes("Failed to load resource");

export async function REAL({ browser, options }, judge) {
  const stage = await Stage.open(options);
  try {
    const see = (name, check, how = {}) =>
      judge(name, () => browser.visit(stage.url, how, (view) => check(view, stage)));
    await see("what the server says of itself is on the page", overview);
    await see("members, what they may do, and who speaks are on the page", members);
    await see("a talker's charts have its figures and move", charts);
    await see("a dark page for those who want one", dark, { colorScheme: "dark" });
    await see("a phone shows all of it without scrolling sideways", phone, { viewport: PHONE });
    await see("a keyboard alone finds out why it is silent", keyboard);
    await see("what a member sends is recorded for Wireshark", recordings);
    await see("who lost its network is shown as lost, and is the reason", vanished);
    await see("a chat server that is gone is shown as gone, and calls go on", unlinked);
    await see("a drain, an end and a new start are seen as what they are", restarted, { allowed: unanswered });
  } finally {
    await stage.close();
  }
}

class Stage {
  static async open({ server, live }) {
    const stage = new Stage();
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address();
    await new Promise((closed) => probe.close(closed));
    stage.url = `http://127.0.0.1:${port}/`;
    stage.version = execFileSync(server, ["--version"], { encoding: "utf8" }).trim().split(" ").at(-1);
    const args = ["--server", server, "stay", "--drain-seconds", "4"];
    const env = { LVSP_ADMIN__LISTEN: `127.0.0.1:${port}` };
    stage.program = new Program("live", live, args, { input: true, env });
    await stage.program.line((line) => line.endsWith("are in voice"), "members in voice", READY_MS);
    return stage;
  }

  /** Asks the server itself. */
  async ask(path) {
    const answer = await fetch(new URL(path, this.url));
    assert.equal(answer.status, 200, path);
    return answer.json();
  }

  /** Has the live program do something; resolves when it is done. */
  order(what) {
    this.program.child.stdin.write(`${what}\n`);
    return this.program.line((line) => line === `done: ${what}`, what, READY_MS);
  }

  async close() {
    this.program.child.stdin.end();
    await this.program.ended;
  }
}

const ready = (view) => view.until("the server is ready", () => document.getElementById("state").textContent === "ready");

async function overview(view, stage) {
  await ready(view);
  assert.equal(await view.text("#version"), stage.version);
  assert.equal(await view.text('[data-tile="sessions"] .figure'), "12");
  assert.equal(await view.text('[data-tile="channels"] .figure'), "2");
  const { control_links: [link], relays: [relay] } = await stage.ask("v1/status");
  assert.match(await view.text("#links"), new RegExp(`^${link.name} · ${link.revision} · connected for \\d`));
  assert.equal(await view.page.getAttribute("#links li", "data-connected"), "true");
  const { health } = await stage.ask("v1/status");
  const shown = await view.text("#health");
  assert.match(shown, /^\d+\.\d %$/);
  assert.ok(health > 0.5 && Math.abs(Number.parseFloat(shown) - 100 * health) < 25, `${shown} of a server that says ${health}`);
  assert.equal(await view.page.getAttribute("#health", "data-low"), null, "twelve members are no load");
  assert.equal(await view.text("#relays tbody th"), `0\n${relay.address}`);
  assert.equal(await view.text("#relays tbody td:nth-of-type(1)"), "12");
  // In each channel one talks at a time, 50 packets a second; in the first, two talkers have no voice.
  await view.until("packets come in and go out", () => {
    const [incoming, outgoing] = ["in", "out"].map((tile) => Number(document.querySelector(`[data-tile="${tile}"] .figure`).textContent));
    return incoming > 50 && incoming < 130 && outgoing > 150 && outgoing < 1000;
  });
  await view.until("a chart of it", () => /M.*L.*L/.test(document.querySelector('[data-tile="in"] path').getAttribute("d")));
  await view.until("the muted one's packets are counted, and why", () => {
    const reason = document.querySelector('#drops [data-reason="muted"]');
    return reason && Number(reason.cells[2].textContent) > 0 && reason.textContent.includes("muted or suppressed");
  });
}

async function members(view, stage) {
  await view.until("both channels are open", () => document.querySelectorAll('.toggle[aria-expanded="true"]').length === 2);
  await view.until("everybody is there", () => document.querySelectorAll("[data-user]").length === 12);
  const placed = await view.page.evaluate(() => [...document.querySelectorAll("[data-channel]")].map((channel) =>
    [channel.dataset.channel, [...channel.querySelectorAll("[data-user]")].map((row) => row.dataset.user)]));
  const users = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => String(from + at));
  assert.deepEqual(placed, [[FIRST, users(10_001, 10_010)], [SECOND, users(10_011, 10_012)]]);
  assert.equal(await view.text(`${row(MUTED)} .badges`), "muted");
  assert.equal(await view.text(`${row(DEAFENED)} .badges`), "deafened");
  assert.equal(await view.text(`${row(TALKER)} .badges`), "");
  const { members: all } = await stage.ask(`v1/members?channel=${FIRST}`);
  const talker = all.find((member) => member.user_id === TALKER);
  assert.equal(await view.text(`${row(TALKER)} .where span:first-child`), talker.address);
  await view.until("somebody speaks", () => [...document.querySelectorAll(".talk")].some((talk) => talk.textContent === "speaking"));
  await view.until("a talker's figures", (row) => {
    const [incoming, outgoing, loss, jitter] = [...document.querySelectorAll(`${row} .value`)].map((value) => value.textContent);
    return Number(incoming) >= 0.5 && Number(outgoing) > 10 && loss.endsWith("%") && jitter.endsWith("ms");
  }, row(TALKER));
  assert.equal(await view.text(`${row(DEAFENED)} td:nth-of-type(2) .value`), "0");
  await view.until("the muted one is seen to send", (row) => Number(document.querySelector(`${row} .value`).textContent) > 0.5, row(MUTED));
  await view.picture("light");
  assert.deepEqual(await view.violations(), []);
}

async function charts(view) {
  await view.until("everybody is there", () => document.querySelectorAll("[data-user]").length === 12);
  const cell = (column) => `${row(TALKER)} td:nth-of-type(${column})`;
  const value = async (column) => Number.parseFloat(await view.text(`${cell(column)} .value`));
  const path = () => view.page.getAttribute(`${cell(1)} path`, "d");
  const drawn = await view.eventually("a line of packets", async () => (await view.heights(cell(1))).length > 2 && path());
  const packets = await view.heights(cell(1));
  // Five packets in a turn of a second; fifty fill the chart.
  assert.ok(packets.some((height) => height > 0.02) && packets.every((height) => height < 0.6), `packets: ${packets}`);
  await view.eventually("it moves", async () => (await path()) !== drawn && (await view.heights(cell(1))).length > packets.length);
  assert.deepEqual(new Set(await view.heights(cell(3))), new Set([0]), "nothing is lost on loopback");
  assert.equal(await value(3), 0);
  await view.eventually("the jitter's line ends where the figure says", async () => {
    const height = (await view.heights(cell(4))).at(-1);
    const jitter = await value(4);
    return jitter > 0 && height > 0 && (jitter >= 30 || Math.abs(height - jitter / 30) < 0.15);
  });
}

async function dark(view) {
  await ready(view);
  const brightness = () => view.page.evaluate(() => {
    const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
    return (red + green + blue) / 3;
  });
  assert.ok(await brightness() < 60, "dark");
  await choosePair(view, MUTED, TALKER);
  await view.picture("dark");
  assert.deepEqual(await view.violations(), []);
  await view.page.emulateMedia({ colorScheme: "light" });
  assert.ok(await brightness() > 200, "light, once that is wanted");
  assert.deepEqual(await view.violations(), []);
}

/** By mouse. */
async function choosePair(view, speaker, listener) {
  await view.page.locator(choose(speaker)).click();
  await view.page.locator(choose(listener)).click();
  await view.until("a verdict", () => document.querySelectorAll("#steps li").length > 5);
}

const firstFailure = () => document.querySelector("#steps [data-first] strong")?.textContent;

async function phone(view) {
  await ready(view);
  await choosePair(view, DEAFENED, TALKER);
  assert.equal(await view.overflow(), 0);
  const columns = await view.page.evaluate(() => new Set([...document.querySelectorAll(".panel")].map((panel) => panel.getBoundingClientRect().left)).size);
  assert.equal(columns, 1, "one column");
  const seen = await view.page.evaluate(() => {
    const { top, bottom } = document.getElementById("verdict").getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  });
  assert.ok(seen, "the verdict is in sight");
  await view.picture("phone");
  assert.deepEqual(await view.violations(), []);
}

async function keyboard(view) {
  await ready(view);
  await view.until("everybody is there", () => document.querySelectorAll("[data-user]").length === 12);
  await view.tabTo(".skip");
  await view.page.keyboard.press("Enter");
  await view.tabTo(choose(MUTED));
  const ring = await view.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(ring, "none", "the focus is visible");
  await view.page.keyboard.press("Enter");
  assert.equal(await view.text("#why-speaker"), MUTED);
  assert.equal(await view.text("#why-hint"), "Now choose who should hear them.");
  await view.page.keyboard.press("ArrowDown");
  assert.equal(await view.page.evaluate((selector) => document.activeElement.matches(selector), choose(DEAFENED)), true, "an arrow leads on");
  await view.page.keyboard.press("Space");
  await view.until("muted: the first that fails", (first) => first === "mute" || document.querySelector("#steps [data-first] strong")?.textContent === "mute");
  assert.match(await view.text("#verdict"), /the chat server muted the speaker/);
  assert.equal(await view.page.getAttribute("#verdict", "aria-live"), "polite");
  assert.equal(await view.page.evaluate((selector) => document.activeElement.matches(selector), choose(DEAFENED)), true, "the focus stays");

  await view.page.keyboard.press("Escape");
  await view.until("cleared", () => document.getElementById("verdict").textContent === "");
  await view.page.keyboard.press("Enter");
  assert.equal(await view.text("#why-speaker"), DEAFENED);
  await view.page.keyboard.press("Escape");

  await view.page.locator(choose(TALKER)).focus();
  await view.page.keyboard.press("Enter");
  await view.page.locator(choose(DEAFENED)).focus();
  await view.page.keyboard.press("Enter");
  await view.until("deafened: the first that fails", () => document.querySelector("#steps [data-first] strong")?.textContent === "deaf");
  await view.page.locator("#why-swap").focus();
  await view.page.keyboard.press("Enter");
  await view.until("the other way round it is heard", () => document.getElementById("verdict").dataset.audible === "true");
  assert.equal(await view.page.evaluate(firstFailure), undefined);
}

async function recordings(view) {
  await ready(view);
  await view.page.locator(choose(TALKER)).click();
  const link = view.page.locator("#recordings a");
  assert.equal(await link.innerText(), "Capture the speaker's packet headers for 10 s");
  const [download] = await Promise.all([view.page.waitForEvent("download"), link.click()]);
  assert.match(download.suggestedFilename(), /\.pcapng$/);
  assert.match(await view.text("#news"), /^Capturing the packet headers of 10001 for 10 s, without audio/);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).subarray(0, 4).toString("hex"), PCAPNG);
}

async function unlinked(view, stage) {
  await ready(view);
  const link = (connected) => view.until(`the link's state: ${connected}`, (connected) => {
    const [link, ...others] = document.querySelectorAll("#links li");
    return !others.length && link.dataset.connected === String(connected)
      && link.textContent.includes(connected ? " · connected for " : " · not connected for ");
  }, connected);
  await link(true);
  await stage.order("crash");
  await link(false);
  assert.equal(await view.text("#state"), "ready", "a server without a chat server goes on");
  assert.equal(await view.page.locator('[data-user][data-state="live"]').count(), 11, "all but the one that vanished");
  await view.until("packets go out all the same", () => Number(document.querySelector('[data-tile="out"] .figure').textContent) > 150);
  await view.picture("unlinked");
  await stage.order("return");
  await link(true);
}

async function vanished(view, stage) {
  await ready(view);
  await stage.order("vanish");
  await view.until("it is shown as lost", (row) => document.querySelector(`${row} .badges`)?.textContent === "connection lost", row(VANISHING));
  await view.until("its connection is counted, and what that means", () => {
    const reason = document.querySelector('#closes [data-reason="peer_closed"]');
    return reason?.cells[1].textContent === "1" && reason.cells[2].textContent === "1" && reason.textContent.includes("The other side left");
  });
  await choosePair(view, VANISHING, TALKER);
  await view.until("its session is the reason", () => document.querySelector("#steps [data-first] strong")?.textContent === "session");
}

async function restarted(view, stage) {
  await ready(view);
  const before = await view.page.evaluate(() => document.querySelectorAll("[data-user]").length);
  assert.equal(before, 12);
  const stopped = stage.order("stop");
  await view.until("it says that it drains, and takes nobody new", () => {
    const health = document.getElementById("health");
    return document.getElementById("state").textContent === "draining" && health.textContent === "0 %" && health.dataset.low === "true";
  });
  await stopped;
  await view.until("it says that nobody answers", () => {
    const banner = document.getElementById("offline");
    return !banner.hidden && banner.textContent.includes("has not answered since") && document.title.endsWith("unreachable");
  });
  await view.picture("unreachable");
  await stage.order("start");
  await view.until("it recovers by itself", () =>
    document.getElementById("offline").hidden && document.getElementById("state").textContent === "ready");
  // Said in passing: it is gone when everybody is back late.
  assert.match(await view.text("#news"), /restarted|answers again/);
  await view.until("everybody but the one is back", () => document.querySelectorAll('[data-user][data-state="live"]').length === 11);
}
