// The words of the page: both languages say the same things (R14), and whatever the gateway may
// report has its words, with a cause and a next step (R10). Run by `node --test`.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = new URL('../..', import.meta.url).pathname;
const load = async (name) => (await import(join(ROOT, 'src/web/ui/text', `${name}.js`))).default;
const en = await load('en');
const de = await load('de');
const source = (path) => readFileSync(join(ROOT, path), 'utf8');

/** Every text with its path. */
function* texts(value, path = []) {
  if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) yield* texts(inner, [...path, key]);
  } else yield [path.join('.'), value];
}

const kebab = (name) => name.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();

/** The variants of an enum of the gateway. */
function variants(path, name) {
  const body = new RegExp(`pub enum ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(source(path))[1];
  return [...body.matchAll(/^ {4}([A-Z]\w*)/gm)].map((match) => match[1]);
}

function* rustFiles(dir) {
  for (const entry of readdirSync(join(ROOT, dir), { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* rustFiles(path);
    else if (path.endsWith('.rs')) yield path;
  }
}

test('R14: English and German have the same keys, and none is empty', () => {
  const shape = (language) => [...texts(language)].map(([path, value]) => `${path}: ${typeof value}`).sort();
  assert.deepEqual(shape(de), shape(en));
  const mayBeEmpty = new Set(['problems.page-error.reason']);
  for (const language of [en, de]) {
    for (const [path, value] of texts(language)) {
      if (typeof value === 'string' && !mayBeEmpty.has(path)) assert.notEqual(value.trim(), '', path);
    }
  }
});

test('R14: the words that take a number or a name take it in both languages', () => {
  for (const [language, words] of Object.entries({ en, de })) {
    for (const [path, value] of texts(words)) {
      if (typeof value !== 'function' || path === 'exception' || path === 'data.certificate') continue;
      const marks = Array.from({ length: value.length }, (_, i) => `‹${i}›`);
      const said = String(value(...marks));
      assert.ok(marks.some((mark) => said.includes(mark)), `${language} ${path} says nothing of what it is given: ${said}`);
    }
  }
});

test('R10: every bad and every doubtful quality has a cause and a next step', () => {
  const path = 'src/model/quality.rs';
  const words = [...variants(path, 'Fault'), ...variants(path, 'Doubt')].filter((name) => name !== 'Exception').map(kebab);
  assert.ok(words.length >= 12, String(words));
  for (const language of [en, de]) {
    for (const word of words) assert.ok(language.causes[word]?.cause && language.causes[word]?.next, word);
    for (let code = 1; code <= 255; code += 1) {
      const said = language.exception(code);
      assert.ok(said.cause.includes(String(code)) && said.next, String(code));
    }
  }
});

test('R10: every reason why an uplink is away has its words', () => {
  const causes = variants('src/uplink/cause.rs', 'Cause').map(kebab);
  assert.ok(causes.length >= 15, String(causes));
  for (const language of [en, de]) for (const cause of causes) assert.ok(language.uplinkCauses[cause], cause);
});

test('R10: every error code of the API has a title and a next step', () => {
  const codes = new Set();
  for (const path of rustFiles('src/web')) {
    // A code stands first in its problem, behind the status where that is said, and before its title.
    const codesOf = /\b(?:new\(\s*(?:StatusCode::\w+|status),|conflict\(|field\()\s*"([a-z]+(?:-[a-z]+)*)",\s*(?:"[A-Z]|title\b)/g;
    for (const match of source(path).matchAll(codesOf)) codes.add(match[1]);
  }
  assert.ok(codes.size >= 5, `only ${[...codes]} found: does the pattern still fit?`);
  for (const language of [en, de]) {
    for (const code of [...codes].sort()) {
      const said = language.problems[code];
      assert.ok(said?.title && said?.hint, `${code} has no words in text/*.js`);
    }
  }
});
