// Every address of the page, looked at in one way of looking: what must not be there, by kind.
// Both themes are looked at on one load of an address: the page only follows what the system says.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { open, SHOTS, visit } from './browser.js';
import { ROUTES } from './routes.js';

/** Pages that are walked beside each other. */
const PAGES = 3;

const nameOf = (route) => route.replace(/^\//, '').replace(/[^a-z0-9]+/gi, '_') || 'overview';

/** Things to point at that are too small for a finger (WCAG 2.5.8 asks for 24, we for 44). */
function small() {
  const hidden = (element) => { const { width, height } = element.getBoundingClientRect(); return width < 2 || height < 2 || getComputedStyle(element).visibility === 'hidden' || element.closest('[aria-hidden="true"], .visually-hidden, .skip'); };
  const inText = (element) => element.tagName === 'A' && element.closest('p, dd, .note, td, th') && !element.classList.contains('button');
  const all = [...document.querySelectorAll('a[href], button, input:not([type="hidden"]), select, textarea, summary')];
  return all.filter((element) => !hidden(element) && !inText(element)).map((element) => {
    // The words of a checkbox or a radio button are part of it.
    const target = element.matches('input[type="checkbox"], input[type="radio"]') ? element.closest('.check, label, .pick') ?? element : element;
    const { width, height } = target.getBoundingClientRect();
    return { width, height, what: `${element.tagName} ${(element.getAttribute('aria-label') ?? element.textContent ?? '').trim().slice(0, 30)}` };
  }).filter(({ width, height }) => height < 43.5 || width < 43.5).map(({ width, height, what }) => `${what} is ${Math.round(width)} x ${Math.round(height)}`);
}

/** How far something can be scrolled sideways that must not be. */
function sideways() {
  const of = (element) => (element ? Math.max(0, element.scrollWidth - element.clientWidth) : 0);
  return Math.max(of(document.documentElement), of(document.getElementById('main')), ...[...document.querySelectorAll('dialog[open] .body')].map(of));
}

/** States without a shape or without a word. */
function nameless() {
  return [...document.querySelectorAll('.state, .chip')].filter((state) => !state.querySelector('svg.shape') || !state.textContent.trim()).map((state) => state.outerHTML.slice(0, 120));
}

const { source: AXE } = createRequire(import.meta.url)('axe-core');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe says against the page as it stands; only that, for all it looked at is much. */
export async function judged(page) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
  return page.evaluate(async (tags) => {
    const { violations } = await globalThis.axe.run(document, { runOnly: tags, resultTypes: ['violations'], elementRef: false });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`).join(' | ')}`);
  }, TAGS);
}

/** What a walk met, each thing told with its address. */
class Findings {
  constructor() {
    this.axe = [];
    this.csp = [];
    this.console = [];
    this.foreign = [];
    this.nameless = [];
    this.small = [];
    this.sideways = [];
    this.requests = 0;
    this.looks = 0;
  }
}

/**
 * Walks all addresses at this width. `base` is of a gateway where everyone is signed in.
 * @param {any} t
 */
export async function walk(t, base, width) {
  const found = new Findings();
  const narrow = width < 800;
  const height = narrow ? 800 : 860;
  const left = [...ROUTES];
  const one = async () => {
    const page = await open(t, base, { width, height, touch: narrow });
    for (let route = left.shift(); route !== undefined; route = left.shift()) {
      page.wrongs.clear();
      await page.emulateMedia({ colorScheme: 'light' });
      await visit(page, route);
      for (const theme of /** @type {const} */ (['light', 'dark'])) {
        await page.emulateMedia({ colorScheme: theme });
        await page.screenshot({ path: join(SHOTS, `${nameOf(route)}-${width}-${theme}.png`) });
        // Before axe: it brings a style of its own, which the page's policy reports.
        for (const kind of ['csp', 'console', 'foreign']) found[kind].push(...page.wrongs[kind].map((wrong) => `${route} ${theme}: ${wrong}`));
        found.requests += page.wrongs.requests.length;
        found.nameless.push(...(await page.evaluate(nameless)).map((state) => `${route}: ${state}`));
        found.axe.push(...(await judged(page)).map((said) => `${route} ${theme}: ${said}`));
        found.looks += 1;
        page.wrongs.clear();
      }
      if (narrow) {
        found.small.push(...(await page.evaluate(small)).map((what) => `${route}: ${what}`));
        await page.setViewportSize({ width: 360, height });
        const over = await page.evaluate(sideways);
        if (over > 0) found.sideways.push(`${route}: ${over} px at 360 px`);
        await page.setViewportSize({ width, height });
      }
    }
  };
  await Promise.all(Array.from({ length: PAGES }, one));
  return found;
}
