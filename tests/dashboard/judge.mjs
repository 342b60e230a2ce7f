// Looks at the dashboard in a real Chromium: against a real server with voice clients that talk, and
// against answers that no real server gives on demand. A line for each thing that must hold; the exit
// status is the verdict.
import { parseArgs } from "node:util";
import { Browser } from "./browser.mjs";
import { REAL } from "./real.mjs";
import { WRITTEN } from "./written.mjs";

const { values: options } = parseArgs({
  options: {
    server: { type: "string" },
    live: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    pictures: { type: "string", default: "target/dashboard" },
    only: { type: "string", default: "" },
  },
});

const groups = [["written", WRITTEN], ["real", REAL]].filter(([group]) => !options.only.includes(":") || options.only.startsWith(group));
if (groups.some(([, play]) => play === REAL) && !(options.server && options.live)) {
  console.error("judge: --server and --live name the programs for a real server; without them only --only written:");
  process.exit(2);
}
const browser = await Browser.launch(options.chromium, options.pictures);
const judged = { passed: 0, failed: 0 };
try {
  for (const [group, play] of groups) {
    await play({ browser, options }, async (name, check) => {
      const whole = `${group}: ${name}`;
      if (!whole.includes(options.only)) return;
      try {
        await check();
        judged.passed += 1;
        console.log(`pass  ${whole}`);
      } catch (error) {
        judged.failed += 1;
        console.log(`FAIL  ${whole}\n      ${error.stack.replaceAll("\n", "\n      ")}`);
      }
    });
  }
} finally {
  await browser.close();
}
console.log(`${judged.passed} passed, ${judged.failed} failed; pictures in ${options.pictures}`);
process.exit(judged.failed || !judged.passed ? 1 : 0);
