// Every address of the page on a laptop, in light and dark.

import { test } from 'node:test';
import assert from 'node:assert/strict';

import { demo } from './support/gateway.js';
import { ROUTES } from './support/routes.js';
import { walk } from './support/walk.js';

test('every page at 1280 px, light and dark', async (t) => {
  const { base } = await demo(t);
  const found = await walk(t, base, 1280);
  await t.test('nobody is shut out: no violation that axe knows of (WCAG 2.2 AA)', () => assert.deepEqual(found.axe, []));
  await t.test('the policy of the page is kept: no CSP report', () => assert.deepEqual(found.csp, []));
  await t.test('no error is in the console', () => assert.deepEqual(found.console, []));
  await t.test('R2 no request leaves the origin', () => assert.deepEqual(found.foreign, []));
  await t.test('R7 every state is a shape and a word besides its colour', () => assert.deepEqual(found.nameless, []));
  await t.test('all of it was looked at', () => {
    assert.equal(found.looks, ROUTES.length * 2);
    assert.ok(found.requests > ROUTES.length * 5, `${found.requests} requests seen`);
  });
});
