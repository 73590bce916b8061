// What is collected in the draft: R3, R4, R12, R15, and the whole way by keyboard.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { open, visit } from './support/browser.js';
import { api, demo } from './support/gateway.js';
import { until } from './support/processes.js';

const draftOf = async (base) => (await api(base, 'GET', '/draft')).json;

test('R3 0 is an address like any other: read, mapped, kept', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/registers?bus=hall1');
  await page.getByLabel('Start', { exact: true }).fill('0');
  await page.getByLabel('Count', { exact: true }).fill('4');
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  const first = page.locator('.registers tbody tr').first();
  await first.waitFor();
  assert.equal(await first.locator('th').innerText(), '0');
  await first.getByRole('button').first().click();
  const name = page.getByLabel('Name', { exact: true });
  await name.fill('register_zero');
  assert.equal(await page.getByLabel('Address').inputValue(), '0');
  await page.getByRole('button', { name: 'Add to draft' }).click();
  await page.getByText('register_zero is in the draft').waitFor();
  const { tree } = await draftOf(base);
  assert.equal(tree.devices.press.tags.register_zero.holding, 0);
  assert.deepEqual(page.wrongs.all, []);
});

test('R4 a CSV that is exported and imported again changes nothing', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/mapping');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  const csv = readFileSync(await download.path(), 'utf8');
  assert.ok(csv.split('\n').length > 20, csv.slice(0, 200));
  await page.getByRole('button', { name: 'Import CSV' }).click();
  await page.getByLabel('Or paste rows here').fill(csv);
  await page.getByRole('button', { name: 'Check', exact: true }).click();
  await page.getByText(/\d+ rows fine/).waitFor();
  await page.locator('dialog').getByRole('button', { name: /to the draft/ }).click();
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  const after = await draftOf(base);
  assert.deepEqual(after.changes, []);
  assert.equal(after.diff, '');
  // And the next export is the same, byte for byte.
  assert.equal((await api(base, 'GET', '/mapping.csv')).text, csv);
  assert.deepEqual(page.wrongs.all, []);
});

test('a CSV with one changed row changes that tag, and wrong rows are named by line', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/mapping');
  const csv = (await api(base, 'GET', '/mapping.csv')).text;
  const lines = csv.trimEnd().split('\n');
  const row = lines.findIndex((line) => line.includes('oil_temperature'));
  lines[row] = lines[row].replace('°C', 'K');
  const broken = lines.findIndex((line) => line.includes('voltage_l2'));
  lines[broken] = lines[broken].replace('f32', 'float');
  await page.getByRole('button', { name: 'Import CSV' }).click();
  await page.getByLabel('Or paste rows here').fill(lines.join('\n'));
  await page.getByRole('button', { name: 'Check', exact: true }).click();
  await page.getByText(/1 with errors/).waitFor();
  assert.match(await page.locator('dialog').innerText(), new RegExp(`line ${broken + 1}`));
  await page.locator('dialog').getByRole('button', { name: /to the draft/ }).click();
  await until(async () => (await draftOf(base)).changes.length > 0, 'a change in the draft');
  const { changes, tree } = await draftOf(base);
  assert.equal(changes.length, 1, JSON.stringify(changes));
  assert.equal(tree.devices.press.tags.oil_temperature.unit, 'K');
  assert.equal(tree.devices.meter.tags.voltage_l2.type, 'f32');
});

test('R12 a password that is typed is never told again: not by the draft, its diff, the page, or the log', async (t) => {
  const { base, process } = await demo(t);
  const secret = 'kingfisher-over-7-weirs';
  const page = await open(t, base);
  await visit(page, '/users?tab=broker');
  await page.getByRole('button', { name: 'Add a user' }).click();
  await page.getByLabel('Name', { exact: true }).fill('dashboard');
  await page.locator('dialog').getByLabel('Password', { exact: true }).fill(secret);
  await page.getByLabel('Roles').fill('read');
  await page.getByRole('button', { name: 'Add to draft' }).click();
  await page.locator('tr', { hasText: 'dashboard' }).waitFor();
  const told = [];
  for (const path of ['/draft', '/config', '/status', '/logs', '/config/history', '/audit']) told.push((await api(base, 'GET', path)).text);
  await visit(page, '/changes');
  told.push(await page.locator('body').innerHTML());
  await visit(page, '/config');
  told.push(await page.locator('body').innerHTML(), await page.locator('#config-text').inputValue());
  await visit(page, '/users?tab=broker');
  await page.getByRole('button', { name: 'Edit: dashboard' }).click();
  told.push(await page.locator('dialog').innerHTML(), process.output);
  assert.equal(await page.locator('dialog').getByLabel('New password').inputValue(), '');
  for (const text of told) assert.ok(!text.includes(secret));
  // Of the hash neither the list of changes nor the difference tells anything.
  const { changes, diff } = await draftOf(base);
  assert.ok(changes.length > 0 && diff.includes('dashboard'));
  assert.doesNotMatch(JSON.stringify([changes, diff]), /\$argon2id\$v=|p=1\$/);
  assert.deepEqual(page.wrongs.all, []);
});

test('R15 two editors: the second is told with a diff, and loses nothing', async (t) => {
  const { base } = await demo(t);
  const [first, second] = [await open(t, base), await open(t, base, { expected: [/409/] })];
  for (const page of [first, second]) await visit(page, '/mapping?tag=press/oil_temperature');
  await first.getByLabel('Unit', { exact: true }).fill('K');
  await second.getByLabel('Scale').fill('0.5');
  await first.getByRole('button', { name: 'Keep' }).click();
  await first.getByText('is changed in the draft').waitFor();
  await second.getByRole('button', { name: 'Keep' }).click();
  const conflict = second.locator('dialog', { hasText: 'Somebody else changed this meanwhile' });
  await conflict.waitFor();
  assert.match(await conflict.locator('.diff').innerText(), /unit: K/);
  await conflict.getByRole('button', { name: 'Make my change there again' }).click();
  const both = await until(async () => { const { tree } = await draftOf(base); const tag = tree.devices.press.tags.oil_temperature; return tag.scale === 0.5 && tag; }, 'the second change');
  assert.equal(both.unit, 'K', 'the first change is still there');
  assert.deepEqual(first.wrongs.all, []);
});

test('R15 the text of the configuration is not put over what somebody else changed meanwhile', async (t) => {
  const { base } = await demo(t);
  const [first, second] = [await open(t, base), await open(t, base, { expected: [/409/] })];
  await visit(second, '/config');
  const text = second.locator('#config-text');
  const typed = `${await text.inputValue()}# typed meanwhile\n`;
  await text.fill(typed);
  await visit(first, '/mapping?tag=press/oil_temperature');
  await first.getByLabel('Unit', { exact: true }).fill('K');
  await first.getByRole('button', { name: 'Keep' }).click();
  await first.getByText('is changed in the draft').waitFor();
  // The second page hears of it, and its text stays as it was typed.
  await second.locator('.chips a', { hasText: '1 change' }).waitFor();
  assert.equal(await text.inputValue(), typed);
  await second.getByRole('button', { name: 'Put into the draft' }).click();
  const conflict = second.locator('dialog', { hasText: 'Somebody else changed this meanwhile' });
  await conflict.waitFor();
  assert.match(await conflict.locator('.diff').innerText(), /unit: K/);
  assert.equal((await draftOf(base)).tree.devices.press.tags.oil_temperature.unit, 'K');
});

test('R15 a hand edit of the file and an edit of the page meet', async (t) => {
  const { base, dir } = await demo(t);
  const page = await open(t, base, { expected: [/409/] });
  await visit(page, '/mapping?tag=press/oil_temperature');
  const file = `${dir}/demo.yaml`;
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('site: plant1', 'site: plant9 # by hand'));
  await until(async () => (await draftOf(base)).text.includes('plant9'), 'the gateway seeing the edit of the file');
  await page.getByLabel('Scale').fill('0.5');
  await page.getByRole('button', { name: 'Keep' }).click();
  await until(async () => {
    const again = page.locator('dialog', { hasText: 'Somebody else changed this meanwhile' }).getByRole('button', { name: 'Make my change there again' });
    if (await again.isVisible()) await again.click();
    const { text: now } = await draftOf(base);
    return now.includes('plant9 # by hand') && /scale: 0\.5/.test(now);
  }, 'both edits in the draft');
});

test('R13 the keyboard alone maps a register: read, choose, name, add, apply', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/registers?bus=hall1');
  const tabTo = async (locator, what) => {
    for (let i = 0; i < 80; i += 1) {
      if (await locator.evaluate((element) => element === document.activeElement).catch(() => false)) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab never reached ${what}`);
  };
  const start = page.getByLabel('Start', { exact: true });
  await tabTo(start, 'the start');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('4');
  await page.keyboard.press('Enter');
  const cell = page.locator('.registers tbody button').first();
  await cell.waitFor();
  await tabTo(cell, 'a value');
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor();
  await page.waitForFunction(() => document.activeElement?.id === 'tag-name');
  await page.keyboard.type('by_keyboard');
  await tabTo(page.getByRole('button', { name: 'Add & review' }), 'add and review');
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  const apply = page.getByRole('button', { name: 'Apply', exact: true });
  await apply.waitFor();
  await tabTo(apply, 'apply');
  await page.keyboard.press('Enter');
  await page.getByText('Applied.', { exact: true }).waitFor();
  await visit(page, '/live?q=by_keyboard');
  await page.locator('.table .row .state.good').first().waitFor();
  assert.deepEqual(page.wrongs.all, []);
});

test('a change is taken back by itself unless it is confirmed', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/mapping?tag=press/oil_temperature');
  await page.getByLabel('Unit', { exact: true }).fill('K');
  await page.getByRole('button', { name: 'Keep' }).click();
  await page.getByText('is changed in the draft').waitFor();
  await visit(page, '/changes');
  await page.getByRole('button', { name: /^Apply, and undo/ }).click();
  await page.locator('.pending').waitFor();
  await page.getByRole('button', { name: 'Undo now' }).click();
  await page.getByText('The changes are undone.').waitFor();
  await until(async () => !(await api(base, 'GET', '/config')).json.text.includes('unit: K'), 'the old configuration running');
  assert.deepEqual(page.wrongs.all, []);
});
