// What must hold whatever is answered: crowds, slow and failing answers, hostile names.
import assert from "node:assert/strict";
import { DESK, PHONE } from "./browser.mjs";
import { Staged, crowd, member } from "./staged.mjs";

const LARGE = "41771983423199000";

/** Opens a page against written answers, and closes both. */
async function at(browser, world, options, check) {
  const staged = await Staged.open(world);
  try {
    await browser.visit(staged.url, options, (view) => check(view, staged));
  } finally {
    await staged.close();
  }
}

const rows = (channel) => `[data-channel="${channel}"] tbody tr`;
const refused = (line) => line.includes("Failed to load resource");

export async function WRITTEN({ browser }, judge) {
  await judge("figures read as people write them", figures);
  await judge("five thousand members: what is open is drawn, and what is left out is said", () => many(browser));
  await judge("an empty channel says so, and is not opened by itself", () => empty(browser));
  await judge("a search finds one of five thousand", () => search(browser));
  await judge("a slow server is asked one thing at a time", () => slow(browser));
  await judge("a hidden tab hardly asks, and asks at once when it is looked at", () => hidden(browser));
  await judge("names of chat servers are text, whatever is in them", () => hostile(browser));
  await judge("an error of the server is told in its words, and forgotten when it is over", () => failing(browser));
  await judge("counters that begin anew show no rate", () => anew(browser));
  await judge("a member's charts follow its packets, loss and jitter", () => charts(browser));
  await judge("health is shown, and stands out when it is low", () => health(browser));
  await judge("a chat server that is gone, or never came, is told as such", () => links(browser));
  await judge("nothing moves for those who asked for that", () => still(browser));
}

async function figures() {
  const { Meter, bits, byId, count, duration, lossShare, percent, rate } = await import("../../runtime-mio/src/admin/page/figures.js");
  assert.deepEqual([0, 900, 61_000, 3_720_000, 90_061_000, null].map(duration), ["0 s", "0 s", "1 min 1 s", "1 h 2 min", "1 d 1 h", "–"]);
  assert.deepEqual([0, 0.01, 0.25, 9.96, 49.6, 1234, 2_500_000, null].map(rate), ["0", "<0.1", "0.3", "10", "50", "1,234", "2.5M", "–"]);
  assert.deepEqual([0, 0.0001, 0.0123, 1].map(percent), ["0 %", "<0.1 %", "1.2 %", "100.0 %"]);
  assert.deepEqual([10, 8000, 2_000_000].map(bits), ["80", "64 k", "16.0 M"]);
  assert.equal(count(undefined), "–");
  assert.equal(lossShare(99, 1), 0.01);
  assert.equal(lossShare(0, 0), null);
  assert.deepEqual(["100", "9", "41771983423143937", "41771983423143936"].toSorted(byId), ["9", "100", "41771983423143936", "41771983423143937"]);
  const meter = new Meter();
  assert.ok(meter.feed(1000, { n: 5 }));
  assert.equal(meter.rate("n"), null, "one reading is no rate");
  assert.ok(meter.feed(3000, { n: 25 }));
  assert.equal(meter.rate("n"), 10);
  assert.ok(!meter.feed(3100, { n: 40 }), "too soon");
  assert.ok(meter.feed(4000, { n: 30 }));
  assert.equal(meter.rate("n"), 5, "over the whole interval");
  meter.feed(5000, { n: 1 });
  assert.equal(meter.rate("n"), null, "a counter that began anew");
  assert.equal(meter.lastMinute("n"), 0, "nor has it shrunk");
  const minute = new Meter();
  for (const [at, n] of [[0, 0], [10, 7], [65, 9], [69, 10]]) minute.feed(at * 1000, { n });
  assert.equal(minute.lastMinute("n"), 3, "what was before the last minute is left out");
  for (let at = 6; at < 200; at += 1) meter.feed(at * 1000, { n: at });
  assert.equal(meter.series("n").values.length, 60, "the history is bounded");
}

/** Channels of ten and one of six hundred: 5,000 in all. */
function fiveThousand() {
  const world = crowd(440, 10);
  for (let n = 0; n < 600; n += 1) world.members.push(member(10_000 + n, LARGE, n === 599));
  world.channels.push({ id: LARGE, chat_server: "stage", guild_id: "77", bitrate: 96_000, relays: [0, 1], members: 600, speaking: 1 });
  return world;
}

async function many(browser) {
  await at(browser, fiveThousand(), { viewport: DESK }, async (view, staged) => {
    await view.until("200 channels", () => document.querySelectorAll("[data-channel]").length === 200);
    assert.match(await view.text("#channels-note"), /^Showing the 200 largest of 441 channels\./);
    assert.equal(await view.text('[data-tile="sessions"] .figure'), "5,000");
    assert.ok(!staged.asked.includes("/v1/members"), "everybody is not asked for");

    await view.page.locator(`[data-channel="${LARGE}"] .toggle`).click();
    await view.until("a hundred of six hundred", (rows) => document.querySelectorAll(rows).length === 100, rows(LARGE));
    const speaks = member(10_599, LARGE, true).user_id;
    await view.until("who speaks is among them", (user) => document.querySelector(`[data-user="${user}"] .talk`)?.textContent === "speaking", speaks);
    assert.match(await view.text(`[data-channel="${LARGE}"] .members .hint`), /^500 more members are not shown/);

    const closed = view.page.locator('.toggle[aria-expanded="false"]');
    while (await view.page.locator('.toggle[aria-expanded="true"]').count() < 8) await closed.first().click();
    await closed.last().click();
    await view.until("no more than eight are open", () => document.querySelectorAll('.toggle[aria-expanded="true"]').length === 8);
    const nodes = await view.page.evaluate(() => document.querySelectorAll("*").length);
    assert.ok(nodes < 8000, `${nodes} elements`);
  });
}

async function empty(browser) {
  const world = crowd(2, 3);
  world.channels[0].members = 0;
  world.members = world.members.filter((member) => member.channel_id !== world.channels[0].id);
  await at(browser, world, {}, async (view) => {
    await view.until("the other one's members", () => document.querySelectorAll("[data-user]").length === 3);
    const { id } = world.channels[0];
    const toggle = view.page.locator(`[data-channel="${id}"] .toggle`);
    assert.equal(await toggle.getAttribute("aria-expanded"), "false");
    await toggle.click();
    assert.equal(await view.text(`[data-channel="${id}"] .members`), "Nobody is in this channel.");
  });
}

async function search(browser) {
  await at(browser, fiveThousand(), { viewport: PHONE }, async (view) => {
    const user = member(3210, "", false).user_id;
    await view.page.locator("#search").fill(user);
    await view.until("the one and its channel", (user) => {
      const shown = [...document.querySelectorAll("[data-user]")].map((row) => row.dataset.user);
      return shown.length === 1 && shown[0] === user && document.querySelectorAll("[data-channel]").length === 1;
    }, user);
    assert.equal(await view.text("#channels-note"), "1 channel found.");
    assert.equal(await view.overflow(), 0);
    await view.page.locator("#search").fill("stage");
    await view.until("a channel by its chat server's name", (id) => {
      const shown = [...document.querySelectorAll("[data-channel]")];
      return shown.length === 1 && shown[0].dataset.channel === id;
    }, LARGE);
    await view.page.locator("#search").fill("no such thing");
    await view.until("nothing", () => document.getElementById("channels-note").textContent === "Nothing found.");
  });
}

async function slow(browser) {
  // Three requests a round: a browser keeps back what goes beyond six.
  await at(browser, crowd(2, 4), {}, async (view, staged) => {
    await view.until("it is there", () => document.getElementById("state").textContent === "ready");
    staged.delay = 1500;
    const before = staged.asked.filter((path) => path === "/v1/status").length;
    const toggle = view.page.locator(".toggle").first();
    while (staged.asked.filter((path) => path === "/v1/status").length < before + 3) await toggle.click();
    for (const [path, most] of staged.most) assert.equal(most, 1, `${most} requests for ${path} at a time`);
    assert.equal(await view.text("#state"), "ready");
  });
}

async function hidden(browser) {
  await at(browser, crowd(2, 4), { clock: true }, async (view, staged) => {
    const look = (hidden) => view.page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    const asked = () => staged.asked.filter((path) => path === "/v1/status").length;
    await waitFor(asked, 1);
    await look(true);
    // The rest of the second that was begun in sight.
    await view.page.clock.runFor(2000);
    await waitFor(asked, 2);
    const before = asked();
    await view.page.clock.runFor(12_000);
    assert.equal(asked(), before, "twelve hidden seconds ask for nothing");
    await look(false);
    await waitFor(asked, before + 1);
  });
}

/** Resolves once a figure has been reached. */
async function waitFor(figure, least) {
  const until = Date.now() + 15_000;
  while (figure() < least) {
    assert.ok(Date.now() < until, `${figure()} of ${least}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function hostile(browser) {
  const evil = `"><img src=x onerror="window.hit=1"><script>window.hit=1</script>${"x".repeat(300)}`;
  const world = crowd(1, 2);
  world.channels[0].chat_server = evil;
  world.links = [{ name: evil, connected: true, revision: "draft", since_ms: 5 }];
  world.members[0].mode = evil;
  world.drops = { [evil]: 3 };
  world.behind = true;
  world.explain = () => ({ audible: false, summary: evil, steps: [{ name: evil, ok: false, detail: evil }] });
  await at(browser, world, { viewport: PHONE }, async (view) => {
    await view.until("two members", () => document.querySelectorAll(".choose").length === 2);
    await view.page.locator(".choose").nth(0).click();
    await view.page.locator(".choose").nth(1).click();
    await view.until("the verdict", (evil) => document.getElementById("verdict").textContent === evil, evil);
    assert.ok((await view.text("[data-channel] .meta")).includes(evil));
    assert.ok((await view.text("#drops")).includes(evil));
    assert.ok((await view.text("#links")).includes(evil));
    assert.match(await view.text("#relays tbody th"), /^0 · behind/);
    assert.equal(await view.page.locator("main img, main script").count(), 0);
    assert.equal(await view.overflow(), 0, "however long they are");
    assert.equal(await view.page.evaluate(() => window.hit), undefined);
  });
}

async function failing(browser) {
  await at(browser, crowd(1, 2), { allowed: refused }, async (view, staged) => {
    await view.until("it is there", () => document.getElementById("state").textContent === "ready");
    staged.failure = "the control thread does not answer";
    await view.until("it says so", (words) => {
      const banner = document.getElementById("offline");
      return !banner.hidden && banner.textContent.includes(words) && document.getElementById("state").textContent === "unreachable";
    }, staged.failure);
    staged.failure = null;
    await view.page.locator("#retry").click();
    await view.until("it is over", () => document.getElementById("offline").hidden && document.getElementById("state").textContent === "ready");
    assert.equal(await view.text("#news"), "The server answers again.");
  });
}

async function anew(browser) {
  await at(browser, crowd(1, 20), {}, async (view, staged) => {
    staged.begun -= 3_600_000;
    await view.until("a rate of 50 a second for each of two", () => {
      const rate = Number(document.querySelector('[data-tile="in"] .figure').textContent);
      return rate > 80 && rate < 120;
    });
    await view.page.evaluate(() => {
      window.shown = [];
      const figure = document.querySelector('[data-tile="in"] .figure');
      new MutationObserver(() => window.shown.push(figure.textContent)).observe(figure, { childList: true, characterData: true, subtree: true });
    });
    staged.begun = Date.now();
    await view.until("it was noticed", () => document.getElementById("news").textContent === "The server was restarted.");
    await view.until("a rate again", () => window.shown.at(-1) !== "–" && window.shown.includes("–"));
    const shown = await view.page.evaluate(() => window.shown);
    for (const rate of shown) assert.ok(rate === "–" || Number(rate) < 200, `rates: ${shown}`);
  });
}

async function charts(browser) {
  await at(browser, crowd(1, 2), {}, async (view, staged) => {
    const [talker, silent] = staged.world.members;
    const cell = ({ user_id }, column) => `tr[data-user="${user_id}"] td:nth-of-type(${column})`;
    const [PACKETS, LOSS, JITTER] = [1, 3, 4];
    const chart = (column) => view.heights(cell(talker, column));
    const last = async (column) => (await chart(column)).at(-1);
    const near = (value, wanted) => Math.abs(value - wanted) < 0.2;

    await view.until("two members", () => document.querySelectorAll("[data-user]").length === 2);
    await view.eventually("fifty packets a second fill a chart", async () =>
      (await chart(PACKETS)).length >= 3 && (await chart(PACKETS)).every((height) => height > 0.6));
    assert.deepEqual(new Set(await chart(LOSS)), new Set([0]), "nothing is lost");
    assert.ok((await chart(JITTER)).every((height) => near(height, 5 / 30)), "5 ms, of 30 that fill a chart");
    assert.equal(await view.text(`${cell(talker, JITTER)} .value`), "5.0 ms");

    talker.line = { share: 0.2, from: staged.seconds, until: Infinity, jitter: 60 };
    await view.eventually("loss and jitter rise", async () => near(await last(LOSS), 1) && near(await last(JITTER), 1));
    assert.equal((await chart(LOSS))[0], 0, "what was before is still there");
    assert.ok(near((await chart(JITTER))[0], 5 / 60), "and is small beside it");
    assert.equal(await view.text(`${cell(talker, JITTER)} .value`), "60 ms");
    assert.match(await view.text(`${cell(talker, LOSS)} .value`), /^\d+\.\d %$/);

    talker.line.until = staged.seconds;
    await view.eventually("silence is no packets", async () => (await last(PACKETS)) === 0);
    assert.ok((await chart(PACKETS))[0] > 0.6, "what was before is still there");

    assert.deepEqual(new Set(await view.heights(cell(silent, PACKETS))), new Set([0]), "who is silent has a flat line");
    assert.deepEqual(await view.heights(cell(silent, LOSS)), [], "of nothing, no share is lost");
    await view.picture("charts");
  });
}

async function health(browser) {
  await at(browser, crowd(1, 2), {}, async (view, staged) => {
    const shows = (words, state, low) => view.until(`${words}, ${state}`, ([words, state, low]) => {
      const health = document.getElementById("health");
      return health.textContent === words && health.dataset.low === low && document.getElementById("state").textContent === state
        && document.title.endsWith(state);
    }, [words, state, low]);
    await shows("98.0 %", "ready", undefined);
    staged.world.health = 0.124;
    await shows("12.4 %", "ready", "true");
    staged.world.health = 0;
    staged.world.draining = true;
    await shows("0 %", "draining", "true");
    Object.assign(staged.world, { draining: false, ready: false, health: 1 });
    await shows("100.0 %", "not ready", undefined);
  });
}

async function links(browser) {
  const world = crowd(1, 2);
  world.links = [
    { name: "here", connected: true, revision: "litecord", since_ms: 61_000 },
    { name: "gone", connected: false, revision: "litecord", since_ms: 5000 },
    { name: "never", connected: false, revision: "draft", since_ms: null },
    { name: "probe", connected: false, revision: "draft", since_ms: null },
  ];
  await at(browser, world, {}, async (view, staged) => {
    const shown = () => view.page.evaluate(() => [...document.querySelectorAll("#links li")].map((link) => [link.textContent, link.dataset.connected]));
    await view.until("all four", () => document.querySelectorAll("#links li").length === 4);
    assert.deepEqual(await shown(), [
      ["here · litecord · connected for 1 min 1 s", "true"], ["gone · not connected for 5 s", "false"], ["never · not connected", "false"],
      ["probe · not connected", "resting"],
    ]);
    assert.deepEqual(await view.violations(), []);
    staged.world.links = [];
    await view.eventually("none at all", async () => (await shown())[0][0] === "No chat server has connected yet");
  });
}

async function still(browser) {
  await at(browser, crowd(1, 2), { reducedMotion: "reduce" }, async (view) => {
    const animation = () => getComputedStyle(document.querySelector(".talk:not(:empty)"), "::before").animationName;
    await view.until("somebody speaks", () => document.querySelector(".talk:not(:empty)"));
    assert.equal(await view.page.evaluate(animation), "none");
    await view.page.emulateMedia({ reducedMotion: "no-preference" });
    assert.equal(await view.page.evaluate(animation), "breathe");
  });
}
