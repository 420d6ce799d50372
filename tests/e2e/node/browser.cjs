// Drives Chromium for tests/e2e/browser.py.
//
//     node browser.cjs CHROMIUM [SWITCH...]
//
// Each line of standard input is a command, {"id": N, "name": NAME, ...arguments}; each line of
// standard output answers one, {"id": N, "value": VALUE} or {"id": N, "error": TEXT}. The end of
// the input ends the browser.
"use strict";

const readline = require("node:readline");
const { chromium } = require("playwright-core");

const [executablePath, ...switches] = process.argv.slice(2);
const pages = new Map();
let browser = null;

// The first frame whose address holds a text, which may take a while to get there; without a text
// the page itself.
async function frameOf({ page, frame }) {
  const found = pages.get(page).page;
  if (!frame) {
    return found;
  }
  for (let tries = 0; tries < 100; tries += 1) {
    const inner = found.frames().find((one) => one.url().includes(frame));
    if (inner) {
      return inner;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`no frame "${frame}" among ${found.frames().map((one) => one.url())}`);
}

const commands = {
  async start() {
    browser = await chromium.launch({ executablePath, args: switches });
    return browser.version();
  },
  // A page in a context of its own: it shares no storage and no cache with others.
  async open({ id, url, before, options }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    if (before) {
      await context.addInitScript(before);
    }
    const page = await context.newPage();
    const entry = { page, context, trouble: [] };
    pages.set(id, entry);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) {
        entry.trouble.push(`${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    page.on("pageerror", (error) => entry.trouble.push(`uncaught: ${error.stack}`));
    page.on("crash", () => entry.trouble.push("the page crashed"));
    const answer = await page.goto(url, { waitUntil: "domcontentloaded" });
    return { status: answer.status(), headers: answer.headers() };
  },
  async evaluate(command) {
    const { expression, argument } = command;
    return (await frameOf(command)).evaluate(
      argument === undefined ? expression : `(${expression})(${JSON.stringify(argument)})`,
    );
  },
  async click(command) {
    return (await frameOf(command)).click(command.selector, { timeout: 10000 });
  },
  script({ page, path }) {
    return pages.get(page).page.addScriptTag({ path }).then(() => null);
  },
  press(command) {
    return pages.get(command.page).page.keyboard.press(command.key);
  },
  offline({ page, offline }) {
    return pages.get(page).context.setOffline(offline);
  },
  screenshot({ page, path }) {
    return pages.get(page).page.screenshot({ path, fullPage: true }).then(() => path);
  },
  trouble({ page }) {
    return pages.get(page).trouble;
  },
  async close({ page }) {
    const { context } = pages.get(page);
    pages.delete(page);
    await context.close();
  },
};

async function answer(line) {
  const command = JSON.parse(line);
  const reply = { id: command.id };
  try {
    const value = await commands[command.name](command);
    reply.value = value === undefined ? null : value;
  } catch (error) {
    reply.error = String(error.stack || error);
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", answer);
lines.on("close", async () => {
  if (browser) {
    await browser.close();
  }
  process.exit(0);
});
