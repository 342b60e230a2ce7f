// A real Chromium without a window, and what must be true of every page it opens: nothing in the
// console, no exception, and no request that leaves the page's own origin.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** How long anything on the page may take to become true. */
const PATIENCE_MS = 30_000;

// A container has no user for its sandbox; the others keep the browser from asking for updates.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export const DESK = { width: 1360, height: 900 };
export const PHONE = { width: 360, height: 740 };

export class Browser {
  static async launch(executablePath, pictures) {
    const browser = new Browser();
    mkdirSync(pictures, { recursive: true });
    browser.pictures = pictures;
    browser.chromium = await chromium.launch({ executablePath, args: FLAGS });
    return browser;
  }

  /** Opens a page, checks it, closes it, and fails if anything was wrong on the way. */
  async visit(url, how, check) {
    const view = await this.#open(url, how);
    try {
      await check(view);
    } finally {
      await view.page.context().close();
    }
    if (view.faults.length) throw new Error(view.faults.slice(0, 5).join("; "));
  }

  /** `allowed` says which lines of the console may be there. */
  async #open(url, { viewport = DESK, colorScheme = "light", reducedMotion = "no-preference", allowed = () => false, clock = false } = {}) {
    const context = await this.chromium.newContext({ viewport, colorScheme, reducedMotion });
    const page = await context.newPage();
    if (clock) await page.clock.install();
    const faults = [];
    page.on("console", (line) => {
      if (["error", "warning"].includes(line.type()) && !allowed(line.text())) faults.push(`console: ${line.text()}`);
    });
    page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(url).origin) faults.push(`a request to ${request.url()}`);
    });
    await page.goto(url);
    return new View(page, faults, this.pictures);
  }

  async close() {
    await this.chromium.close();
  }
}

/** A page under test. */
export class View {
  constructor(page, faults, pictures) {
    Object.assign(this, { page, faults, pictures });
  }

  /** Waits until a function of the page returns something true, and returns that. */
  async until(what, test, argument) {
    try {
      return await (await this.page.waitForFunction(test, argument, { timeout: PATIENCE_MS })).jsonValue();
    } catch (error) {
      const main = await this.page.locator("body").innerText().catch(() => "");
      throw new Error(`${what}: not so within ${PATIENCE_MS / 1000} s (${error.message.split("\n")[0]}); the page says:\n${main.slice(0, 1500)}`);
    }
  }

  /** The same for what is asked of the page from outside. */
  async eventually(what, test) {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const held = await test();
      if (held) return held;
      if (Date.now() > until) throw new Error(`${what}: not so within ${PATIENCE_MS / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  text(selector) {
    return this.page.locator(selector).innerText();
  }

  /** What a small chart shows, from old to new: heights above its zero, 1 where it is filled. */
  heights(selector) {
    return this.page.evaluate((selector) => {
      const chart = document.querySelector(`${selector} .spark`);
      const { height } = chart.viewBox.baseVal;
      // A margin of one unit is left at either edge, so that the line is not cut.
      const points = [...(chart.firstElementChild.getAttribute("d") ?? "").matchAll(/[ML]([\d.]+) ([\d.]+)/g)];
      return points.map(([, , y]) => (height - 1 - Number(y)) / (height - 2));
    }, selector);
  }

  /** The page as a picture, for people. */
  async picture(name) {
    await this.page.screenshot({ path: join(this.pictures, `${name}.png`), fullPage: true });
  }

  /** Tabs on until the focus is at what a selector names, as somebody without a mouse does. */
  async tabTo(selector) {
    for (let at = 0; at < 400; at += 1) {
      await this.page.keyboard.press("Tab");
      if (await this.page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
    }
    throw new Error(`Tab does not lead to ${selector}`);
  }

  /** What an accessibility checker finds, in words. */
  async violations() {
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(() => window.axe.run(document));
    return violations.map(({ id, impact, help, nodes }) => `${impact} ${id}: ${help} (${nodes.slice(0, 3).map((node) => node.html).join(" ")})`);
  }

  /** How far the page is wider than its window. */
  overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }
}

