// Reasons of the gateway in the page's words: each quality and each cause of an outage has a cause
// and a next step in both languages (R10), and no text drops what it is given.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
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
