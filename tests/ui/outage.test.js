// The wire to the cloud is cut and mended on the page: nothing is lost, and the page says so throughout.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { open, visit } from './support/browser.js';
import { demo } from './support/gateway.js';
import { PATIENCE_MS, until } from './support/processes.js';

/** The numbers of the equation as they stand on the page. */
async function equation(page) {
  return page.locator('.equation > div').evaluateAll((terms) => Object.fromEntries(terms.map((term) => [term.querySelector('span').textContent, Number(term.querySelector('strong').textContent.replaceAll(/\D/g, ''))])));
}

const adds = ({ read, delivered, waiting, dropped }) => read === delivered + waiting + dropped;

test('an outage is seen, kept and drained, and the equation holds throughout', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/uplinks');
  await until(async () => (await equation(page)).delivered > 20, 'something delivered');
  const chip = page.locator('.chips a[href="/uplinks"]');
  await page.getByRole('button', { name: 'Cut the uplink' }).click();
  await page.locator('.panel .state.bad', { hasText: 'offline' }).waitFor();
  await until(async () => /offline/.test(await chip.innerText()), 'the head saying it');
  // It waits, more and more; nothing is dropped.
  let most = 0;
  await until(async () => {
    const now = await equation(page);
    assert.ok(adds(now), JSON.stringify(now));
    assert.equal(now.dropped, 0);
    most = Math.max(most, now.waiting);
    return most > 150;
  }, 'readings waiting', PATIENCE_MS * 2);
  assert.match(await page.locator('.note.bad').first().innerText(), /\S/, 'the cause stands there');
  await page.getByRole('button', { name: 'Mend the uplink' }).click();
  const retry = page.getByRole('button', { name: 'Try now' });
  if (await retry.isVisible()) await retry.click();
  await until(async () => {
    const now = await equation(page);
    assert.ok(adds(now), JSON.stringify(now));
    assert.equal(now.dropped, 0);
    return now.waiting < 100 && now.delivered > most;
  }, 'the backlog drained', 120_000);
  await page.locator('.panel .state.good', { hasText: 'online' }).first().waitFor();
  assert.deepEqual(page.wrongs.all, []);
});

test('a line that is unplugged is told with its cause, and comes back', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/buses');
  const bus = page.locator('section.panel', { has: page.getByRole('heading', { name: 'rs485a' }) });
  await bus.locator('header .state.good').waitFor();
  await page.getByRole('button', { name: 'Unplug the serial line' }).click();
  await bus.locator('header .state.bad').waitFor();
  assert.match(await bus.locator('.note.bad').innerText(), /adapter/);
  await page.getByRole('button', { name: 'Plug in the serial line' }).click();
  await bus.locator('header .state.good').waitFor({ timeout: PATIENCE_MS * 2 });
  assert.deepEqual(page.wrongs.all, []);
});
