// What the page weighs, as it goes over the wire.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';

import { open, visit } from './support/browser.js';
import { demo } from './support/gateway.js';
import { ROOT } from './support/processes.js';

const FIRST_VIEW_BYTES = 60_000;
const ALL_BYTES = 150_000;

/** Bytes of the body as they are sent to who takes brotli. */
function sent(url) {
  return new Promise((then, fail) => {
    get(url, { headers: { 'Accept-Encoding': 'br', Accept: 'text/html,*/*' } }, (answer) => {
      let bytes = 0;
      answer.on('data', (data) => { bytes += data.length; });
      answer.on('end', () => then({ bytes, encoding: answer.headers['content-encoding'], cache: answer.headers['cache-control'] }));
    }).on('error', fail);
  });
}

test('the first view is at most 60 kB, and what it loads is kept for ever', async (t) => {
  const { base } = await demo(t);
  const page = await open(t, base);
  await visit(page, '/');
  const urls = [...new Set(page.wrongs.requests.filter((url) => !url.includes('/api/')))];
  let sum = 0;
  for (const url of urls) {
    const { bytes, encoding, cache } = await sent(url);
    sum += bytes;
    if (/\.(js|css)$/.test(url)) {
      assert.equal(encoding, 'br', url);
      assert.match(cache, /immutable/, url);
    }
  }
  assert.ok(urls.length > 10, `${urls.length} files`);
  assert.ok(sum <= FIRST_VIEW_BYTES, `the first view has ${sum} bytes in ${urls.length} files`);
  t.diagnostic(`first view: ${sum} bytes of brotli in ${urls.length} files`);
});

test('the whole page is at most 150 kB', (t) => {
  const dir = join(ROOT, 'src/web/ui');
  const served = readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile() && /\.(html|js|css|svg)$/.test(entry.name)).map((entry) => join(entry.parentPath, entry.name));
  const sum = served.reduce((bytes, file) => bytes + brotliCompressSync(readFileSync(file)).length, 0);
  assert.ok(sum <= ALL_BYTES, `the page has ${sum} bytes`);
  t.diagnostic(`all: ${sum} bytes of brotli in ${served.length} files`);
});
