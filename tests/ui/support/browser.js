// One Chromium per test file, and pages that keep what went wrong in them.

import { mkdirSync } from 'node:fs';
import { after } from 'node:test';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { PATIENCE_MS, ROOT } from './processes.js';

/** Where the screenshots of a run are kept: artefacts, never committed. */
export const SHOTS = join(ROOT, 'target/ui-screenshots');
mkdirSync(SHOTS, { recursive: true });

let launched = null;

async function browser() {
  launched ??= chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  return launched;
}
after(async () => { await (await launched)?.close(); });

/** Everything a page did that it must not: told by the page itself and by the browser. */
class Wrongs {
  constructor() {
    this.csp = [];
    this.console = [];
    this.foreign = [];
    this.requests = [];
  }

  clear() {
    for (const kind of [this.csp, this.console, this.foreign, this.requests]) kind.length = 0;
  }

  get all() { return [...this.csp.map((x) => `CSP: ${x}`), ...this.console.map((x) => `console: ${x}`), ...this.foreign.map((x) => `left the origin: ${x}`)]; }
}

/**
 * A page of its own: { width, height, dark, locale, touch }. What it must not do is in `page.wrongs`;
 * `expected` are patterns of console errors that belong to the test (a refusal it provokes).
 */
export async function open(t, base, { width = 1280, height = 860, dark = false, locale = 'en-GB', touch = false, expected = [] } = {}) {
  const context = await (await browser()).newContext({
    viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', locale, hasTouch: touch, isMobile: touch, acceptDownloads: true, baseURL: base, ignoreHTTPSErrors: true,
  });
  t.after(() => context.close());
  context.setDefaultTimeout(PATIENCE_MS);
  const wrongs = new Wrongs();
  await context.exposeBinding('__csp', (_, said) => { wrongs.csp.push(said); });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => globalThis.__csp(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  const page = await context.newPage();
  page.on('console', (message) => { if (message.type() === 'error' && !expected.some((pattern) => pattern.test(message.text()))) wrongs.console.push(`${message.text()} (${message.location().url})`); });
  page.on('pageerror', (error) => wrongs.console.push(String(error.stack ?? error)));
  page.on('request', (request) => {
    wrongs.requests.push(request.url());
    if (!request.url().startsWith(`${base}/`) && !/^(blob|data):/.test(request.url())) wrongs.foreign.push(request.url());
  });
  page.wrongs = wrongs;
  return page;
}

/** Goes to an address and waits until its page stands, with live data. */
export async function visit(page, path) {
  await page.goto(path);
  await page.locator('main h1, main .panel, main .table').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('main .loading') && document.querySelector('.chips')?.childElementCount > 0);
}

/** Counts what a person does: each click, each text typed, each choice is one. */
export class Hand {
  constructor(page) {
    this.page = page;
    this.log = [];
  }

  get count() { return this.log.length; }

  async click(locator, what) { this.log.push(`click ${what}`); await locator.click(); }

  async type(locator, text, what) { this.log.push(`type ${what}`); await locator.fill(text); }

  async choose(locator, value, what) { this.log.push(`choose ${what}`); await locator.selectOption(value); }
}
