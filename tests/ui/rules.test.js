// Rules of the page as it runs: R1, R5, R7, R8, R9, R11, R13. R2, R6 are of all its addresses.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { open, visit } from './support/browser.js';
import { answers, demo, gateway, PROXIED } from './support/gateway.js';
import { signedIn } from './support/people.js';
import { freePort, until } from './support/processes.js';

/** Resolves once so many batches of values have come since now. */
async function batches(page, count) {
  await page.evaluate((many) => new Promise((then) => {
    let seen = 0;
    const source = new EventSource('/api/v1/events');
    source.addEventListener('values', () => { seen += 1; if (seen > many) { source.close(); then(null); } });
  }), count);
}

test('R1 live values never touch a field that is being edited', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/mapping?tag=press/oil_temperature');
  const name = page.getByLabel('Name', { exact: true });
  await name.fill('oil_temp');
  await name.evaluate((input) => input.setSelectionRange(2, 5));
  const scale = page.getByLabel('Scale');
  await scale.fill('0.25');
  await name.focus();
  await batches(page, 4);
  assert.equal(await name.inputValue(), 'oil_temp');
  assert.equal(await scale.inputValue(), '0.25');
  assert.deepEqual(await name.evaluate((input) => [document.activeElement === input, input.selectionStart, input.selectionEnd]), [true, 2, 5]);
  // The sheet of a value that moves, too.
  await visit(page, '/live?tag=press/oil_setpoint');
  const value = page.getByLabel('New value');
  await value.fill('55.5');
  await batches(page, 4);
  assert.equal(await value.inputValue(), '55.5');
});

/** From a key to the frame that shows what it did. */
const KEY_MS = 50;

/** That time for each key of the text. */
async function typed(page, field, text) {
  await field.focus();
  await page.evaluate(() => {
    globalThis.keys = [];
    globalThis.onkeydown = () => { const at = performance.now(); requestAnimationFrame(() => setTimeout(() => globalThis.keys.push(performance.now() - at))); };
  });
  for (const [i, key] of [...text].entries()) {
    await page.keyboard.press(key);
    await page.waitForFunction((count) => globalThis.keys.length === count, i + 1);
  }
  return page.evaluate(() => globalThis.keys);
}

const middle = (times) => times.toSorted((a, b) => a - b)[times.length >> 1];

/** A configuration with so many tags on a device that is not there. */
function many(tags) {
  const rows = Array.from({ length: tags }, (_, i) => `      tag_${String(i).padStart(4, '0')}: { holding: ${i * 2}, type: f32, unit: V }`).join('\n');
  return `${PROXIED}buses:\n  hall: { modbus-tcp: { host: 127.0.0.1, port: 1 } }\ndevices:\n  meter:\n    bus: hall\n    every: 60s\n    tags:\n${rows}\n`;
}

test('R7 a state is a shape, a word and a colour', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/live');
  const seen = new Map();
  await page.getByRole('button', { name: 'Switch off the press' }).click();
  await page.locator('.state.bad').first().waitFor();
  for (const state of await page.locator('.state, .chip').all()) {
    const [kind, word, shape, colour] = await state.evaluate((element) => [element.className, element.textContent.trim(), element.querySelector('svg.shape')?.innerHTML, getComputedStyle(element.querySelector('svg.shape') ?? element).color]);
    assert.ok(shape && word, `${kind} ${word}`);
    const tone = kind.split(' ').at(-1);
    if (!seen.has(tone)) seen.set(tone, { shape, colour });
  }
  const [good, bad] = [seen.get('good'), seen.get('bad')];
  assert.notEqual(good.shape, bad.shape);
  assert.notEqual(good.colour, bad.colour);
});

test('R8 the page says how old it is after 3 s of silence, and reconnects for ever', async (t) => {
  const { base, process, port, dir } = await demo(t);
  const page = await open(t, base, { expected: [/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|Failed to load resource/] });
  await visit(page, '/live');
  const banner = page.locator('.stale');
  assert.equal(await banner.count(), 0);
  process.child.kill('SIGSTOP');
  await banner.waitFor();
  assert.match(await banner.innerText(), /No data from the gateway for \d+ s/);
  process.child.kill('SIGCONT');
  await banner.waitFor({ state: 'detached' });
  // Gone altogether, for more attempts than others make; then another process at the same address.
  await process.kill();
  await banner.waitFor();
  let tries = 0;
  page.on('requestfailed', (request) => { if (request.url().endsWith('/events')) tries += 1; });
  await until(() => tries >= 3, 'attempts to connect', 90_000);
  await demo(t, { port, dir });
  await banner.waitFor({ state: 'detached', timeout: 60_000 });
  await page.locator('.state.good').first().waitFor();
});

test('R9 what is cut is marked: a large payload, a long list', async (t) => {
  const { base, lan } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/broker');
  await page.getByText('listening').waitFor();
  const large = 'x'.repeat(50_000);
  execFileSync('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(lan), '-t', 'test/large', '-m', large]);
  const row = page.locator('.messages li', { hasText: 'test/large' });
  await row.waitFor();
  assert.match(await row.innerText(), /cut, 50 kB in all/);
  await row.getByRole('button').click();
  await page.locator('dialog .note', { hasText: 'cut, 50 kB' }).waitFor();
  assert.deepEqual(page.wrongs.all, []);
});

test('R11 the page answers within a second of the start of the process, with all buses dead', async (t) => {
  const dead = await freePort();
  const text = `${PROXIED}buses:\n  gone: { modbus-tcp: { host: 127.0.0.1, port: ${dead} } }\n  away: { modbus-tcp: { host: 192.0.2.1 } }\n  unplugged: { modbus-rtu: { port: /dev/serial/by-id/none, baud: 9600 } }\ndevices:\n${['gone', 'away', 'unplugged'].map((bus) => `  on-${bus}: { bus: ${bus}, unit: 1, tags: { v: { holding: 0, type: u16 } } }\n`).join('')}`;
  const took = [];
  // Others use this machine, too: what the program needs is the shortest of a few.
  for (let i = 0; i < 3; i += 1) {
    const { process, base, begun } = await gateway(t, text);
    await answers(base);
    await answers(`${base}/api/v1/session`);
    took.push(Date.now() - begun);
    await process.kill();
  }
  t.diagnostic(`page after ${took.join(', ')} ms`);
  assert.ok(Math.min(...took) <= 1_000, `${took} ms`);
});

test('R13 the keyboard alone: the filter, rows, a sheet, and back to where one was', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/');
  // The first stop skips to the content; the navigation follows the head.
  await page.keyboard.press('Tab');
  assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip/);
  for (let i = 0; i < 30 && !(await page.evaluate(() => document.activeElement.getAttribute('href') === '/live')); i += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Live values' }).waitFor();
  await page.keyboard.press('/');
  assert.ok(await page.evaluate(() => document.activeElement.matches('[data-filter]')), 'the filter has the focus');
  await page.keyboard.type('oil_temperature');
  await page.waitForFunction(() => document.querySelectorAll('.table .row').length === 1);
  for (let i = 0; i < 10 && !(await page.evaluate(() => document.activeElement.matches('.table .row'))); i += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  assert.ok(await page.evaluate(() => document.activeElement.matches('.table .row')), 'the focus is back on the row');
  // A dialog that a button opens: focus inside, and back to the button.
  await page.goto('/buses');
  const add = page.getByRole('button', { name: 'Add a bus' });
  await add.focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor();
  assert.ok(await page.evaluate(() => !!document.activeElement.closest('dialog')), 'the focus is in the dialog');
  for (let i = 0; i < 25; i += 1) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement === document.body || !!document.activeElement.closest('dialog')), 'the focus stays in the dialog');
  }
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Add a bus');
  assert.deepEqual(page.wrongs.all, []);
});

test('R5 a table of 2,000 tags has only the rows in sight, and typing in its filter stays under 50 ms', async (t) => {
  const started = await gateway(t, many(2_000));
  await answers(`${started.base}/api/v1/session`);
  const page = await signedIn(t, started);
  await visit(page, '/live');
  await page.getByText('2,000 values').waitFor();
  const rows = () => page.locator('.table .row').count();
  assert.ok(await rows() < 120, `${await rows()} rows`);
  const filter = page.locator('[data-filter]');
  // Others use this machine, too: what the page needs is the best of a few rounds.
  const rounds = [];
  do {
    await filter.fill('');
    await page.waitForFunction(() => document.querySelectorAll('.table .row').length > 5);
    rounds.push(middle(await typed(page, filter, 'tag_1234')));
    await page.waitForFunction(() => document.querySelectorAll('.table .row').length === 1);
  } while (Math.min(...rounds) > KEY_MS && rounds.length < 6);
  t.diagnostic(`from the key to the next frame: ${rounds.map((ms) => ms.toFixed(1)).join(', ')} ms`);
  assert.ok(Math.min(...rounds) <= KEY_MS, `${rounds} ms`);
  await filter.fill('');
  await page.waitForFunction(() => document.querySelectorAll('.table .row').length > 5);
  await page.locator('main').evaluate((main) => { main.scrollTop = main.scrollHeight; });
  await page.locator('.table .row', { hasText: 'tag_1999' }).waitFor();
  assert.ok(await rows() < 120, `${await rows()} rows`);
  assert.deepEqual(page.wrongs.all, []);
});
