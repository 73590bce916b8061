// The words of the page: both languages have all of them, the modules are sound, errors have causes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { open, visit } from './support/browser.js';
import { demo } from './support/gateway.js';
import { ROOT } from './support/processes.js';

const UI = join(ROOT, 'src/web/ui');
const en = (await import(join(UI, 'text/en.js'))).default;
const de = (await import(join(UI, 'text/de.js'))).default;

function leaves(texts, path = '') {
  return Object.entries(texts).flatMap(([key, value]) => (value !== null && typeof value === 'object' ? leaves(value, `${path}${key}.`) : [[`${path}${key}`, value]]));
}

function files(dir, ending) {
  return readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile() && entry.name.endsWith(ending)).map((entry) => join(entry.parentPath, entry.name));
}

test('R14 English and German have the same keys, and every one of them says something', () => {
  const [english, german] = [new Map(leaves(en)), new Map(leaves(de))];
  assert.deepEqual([...english.keys()].filter((key) => !german.has(key)), [], 'missing in German');
  assert.deepEqual([...german.keys()].filter((key) => !english.has(key)), [], 'missing in English');
  for (const [key, value] of english) {
    assert.equal(typeof german.get(key), typeof value, `${key} is another kind of text`);
    if (typeof value === 'function') assert.equal(german.get(key).length, value.length, `${key} takes as much`);
    else if (!key.endsWith('page-error.reason')) assert.ok(value.trim() && german.get(key).trim(), `${key} is empty`);
  }
  assert.ok(english.size > 400, `${english.size} texts`);
});

test('R14 the page speaks German where the browser does, keeps a choice, and never shows a missing text', async (t) => {
  const { base } = await demo(t);
  const german = await open(t, base, { locale: 'de-DE' });
  for (const route of ['/', '/live', '/buses', '/uplinks', '/system', '/config', '/trace', '/broker', '/users', '/profiles', '/scan', '/mapping']) {
    await visit(german, route);
    const text = await german.locator('body').innerText();
    assert.doesNotMatch(text, /undefined|\[object|NaN|=>/, route);
  }
  await visit(german, '/live');
  await german.getByRole('heading', { level: 1, name: de.nav.live }).waitFor();
  assert.equal(await german.locator('html').getAttribute('lang'), 'de');
  await german.getByRole('button', { name: de.head.account }).click();
  await german.getByLabel(de.head.language).selectOption('en');
  await german.keyboard.press('Escape');
  await german.getByRole('heading', { level: 1, name: en.nav.live }).waitFor();
  await german.reload();
  await german.getByRole('heading', { level: 1, name: en.nav.live }).waitFor();
  assert.deepEqual(german.wrongs.all, []);
});

test('R10 every error has a title and a next step, and every code of the API has words in both languages', () => {
  for (const [language, texts] of [['en', en], ['de', de]]) for (const [code, said] of Object.entries(texts.problems)) {
    assert.ok(said.title && said.hint, `${language} ${code}`);
  }
  // The codes as the API's own source writes them.
  const source = files(join(ROOT, 'src/web'), '.rs').filter((file) => !file.endsWith('tests.rs')).map((file) => readFileSync(file, 'utf8')).join('\n');
  const codes = new Set([...source.matchAll(/(?:Problem::new\(\s*StatusCode::\w+,|Problem::conflict\(|Self::new\(\s*StatusCode::\w+,|Self::conflict\()\s*"([a-z-]+)"/g)].map((found) => found[1]));
  assert.ok(codes.size >= 8, `codes are found: ${[...codes]}`);
  const missing = [...codes].filter((code) => !(code in en.problems));
  assert.deepEqual(missing, [], 'codes without words');
});

test('the modules are sound for the type checker', () => {
  const tsc = join(ROOT, 'target/tests-ui/node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tests/ui/tsconfig.json')], { stdio: 'pipe', encoding: 'utf8' });
});
