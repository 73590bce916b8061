// An outage is rehearsed on the page: begun, ended, told in words, as a plot and as figures that agree.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { open, visit } from './support/browser.js';
import { demo } from './support/gateway.js';
import { until } from './support/processes.js';
import { judged } from './support/walk.js';

const LONG_MS = 240_000;
const figure = (text) => Number(text.replaceAll(/\D/g, ''));

test('from the queue to what an outage would come to', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/uplinks');
  await page.getByRole('link', { name: 'Rehearse an outage' }).click();
  await page.getByRole('heading', { level: 1, name: 'Rehearse an outage' }).waitFor();
  await page.getByLabel('The cloud is away for').selectOption('600');
  await page.getByRole('button', { name: 'Rehearse', exact: true }).click();
  await page.getByRole('heading', { name: 'After 10 min away' }).waitFor({ timeout: LONG_MS });
  const said = await page.locator('section p strong').first().innerText();
  assert.match(said, /^[\d,]+ readings wait in [\d.]+ (kB|MB)\.$/);
  // Some 33 readings in a second of the demonstration's plant.
  const waiting = figure(said.split(' ')[0]);
  assert.ok(waiting > 15_000 && waiting < 25_000, said);
  await page.locator('section .state.good', { hasText: 'Nothing is dropped.' }).waitFor();
  await page.locator('section .state.good', { hasText: /^.*cloud has all of it .+ after the link is back\.$/ }).waitFor();
  await page.locator('.plot canvas').waitFor();
  assert.equal(figure(await page.locator('.plot figcaption').innerText()), waiting);
  // Class by class it is the same, and the equation holds.
  const rows = await page.locator('table.plain tbody tr').evaluateAll((all) => all.map((row) => [...row.querySelectorAll('td.number')].map((cell) => Number(cell.textContent.replaceAll(/\D/g, '')))));
  assert.equal(rows.length, 3);
  for (const [read, delivered, waits, excluded, dropped] of rows) assert.equal(read, delivered + waits + excluded + dropped);
  assert.equal(rows.reduce((all, [, , waits]) => all + waits, 0), waiting);
  assert.deepEqual(await judged(page), [], 'nobody is shut out');
  await page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'nothing scrolls sideways');
  const widest = await page.locator('section p .state').evaluateAll((all) => Math.max(...all.map((one) => one.getBoundingClientRect().right)));
  assert.ok(widest <= 360, `the widest sentence ends at ${widest}`);
  // Who comes later sees it as well.
  const other = await open(t, base);
  await visit(other, '/rehearse');
  await other.getByRole('heading', { name: 'After 10 min away' }).waitFor();
  assert.equal(await other.locator('section p strong').first().innerText(), said);
  assert.deepEqual([...page.wrongs.all, ...other.wrongs.all], []);
});

test('one goes on at a time, and can be ended', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base, { expected: [/409/, /429/, /503/] });
  await visit(page, '/rehearse');
  await page.getByLabel('The cloud is away for').selectOption(String(30 * 86_400));
  await page.getByRole('button', { name: 'Rehearse', exact: true }).click();
  await page.getByRole('heading', { name: 'After 30 d away …' }).waitFor();
  const second = await page.evaluate(async () => (await fetch('/api/v1/rehearsal', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"outage_s":600}' })).status);
  assert.ok(second >= 400, `a second one is refused with ${second}`);
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('.note', { hasText: 'Stopped' }).waitFor();
  await until(async () => !(await page.getByRole('button', { name: 'Rehearse', exact: true }).getAttribute('aria-busy')), 'another one can be begun');
  assert.deepEqual(page.wrongs.all, []);
});
