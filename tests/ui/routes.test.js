// Every address of the page, light and dark, wide and narrow: nothing wrong, nothing foreign, nothing
// that a person who needs help to see or point could not use.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { AxeBuilder } from '@axe-core/playwright';

import { open, SHOTS, visit } from './support/browser.js';
import { demo } from './support/gateway.js';
import { ROUTES } from './support/routes.js';

const nameOf = (route) => route.replace(/^\//, '').replace(/[^a-z0-9]+/gi, '_') || 'overview';

/** Things to point at that are too small or too near for a finger (WCAG 2.5.8 asks for 24, we for 44). */
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

for (const dark of [false, true]) for (const width of [1280, 390]) {
  const how = `${dark ? 'dark' : 'light'} at ${width} px`;
  test(`every page, ${how}: no axe violation, no CSP report, nothing off-origin, no console error`, async (t) => {
    const { base } = await demo(t);
    const narrow = width < 800;
    const page = await open(t, base, { width, height: narrow ? 800 : 860, dark, touch: narrow });
    const found = [];
    for (const route of ROUTES) {
      await visit(page, route);
      await page.screenshot({ path: join(SHOTS, `${nameOf(route)}-${width}-${dark ? 'dark' : 'light'}.png`) });
      // Before axe: it brings a style of its own, which the page's policy reports.
      found.push(...page.wrongs.all.map((wrong) => `${route}: ${wrong}`));
      found.push(...(await page.evaluate(nameless)).map((state) => `${route}: a state without shape or word: ${state}`));
      if (narrow) found.push(...(await page.evaluate(small)).map((what) => `${route}: ${what}`));
      const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
      found.push(...violations.map(({ id, help, nodes }) => `${route}: axe ${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`).join(' | ')}`));
      page.wrongs.csp.length = 0;
      page.wrongs.console.length = 0;
      if (narrow) {
        await page.setViewportSize({ width: 360, height: 800 });
        const over = await page.evaluate(sideways);
        if (over > 0) found.push(`${route}: scrolls ${over} px sideways at 360 px`);
        await page.setViewportSize({ width, height: 800 });
      }
    }
    assert.deepEqual(found, []);
    assert.ok(page.wrongs.requests.length > ROUTES.length * 5, 'requests are seen');
  });
}
