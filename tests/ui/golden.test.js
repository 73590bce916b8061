// From the box to the first value at a subscriber, on the page alone, counting what the person does.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Hand, open } from './support/browser.js';
import { answers, BOX, device, gateway } from './support/gateway.js';
import { child, PATIENCE_MS, until } from './support/processes.js';
import { ADMIN } from './support/people.js';

/** The budget of the issue. */
const INTERACTIONS_MAX = 12;

test(`from the box to the first published value in at most ${INTERACTIONS_MAX} interactions`, async (t) => {
  const meter = await device(t, 'eastron-sdm630', '--set', 'eastron-sdm630.voltage_l1=231.4');
  const { base, lan } = await gateway(t, BOX);
  await answers(`${base}/api/v1/session`);
  const page = await open(t, base);
  const hand = new Hand(page);
  const subscriber = child(t, 'mosquitto_sub', ['-h', '127.0.0.1', '-p', String(lan), '-t', '#', '-v']);

  await page.goto('/');
  await hand.type(page.getByLabel('Password', { exact: true }), ADMIN.password, 'a password');
  await hand.click(page.getByRole('button', { name: 'Create account' }), 'create the account');
  // The form to add a bus is open. A machine with serial adapters proposes one of them first.
  const network = page.getByText('Network (TCP)');
  await network.waitFor();
  if (!(await page.getByLabel('Host', { exact: true }).isVisible())) await hand.click(network, 'on the network');
  await hand.type(page.getByLabel('Host', { exact: true }), `127.0.0.1:${meter.port}`, 'the address');
  await hand.click(page.getByRole('button', { name: 'Add and look for devices' }), 'add and look');
  await hand.click(page.getByRole('button', { name: /^Registers:/ }).first(), 'the device found');
  await hand.type(page.getByLabel('The display shows'), '231.4', 'what the display shows');
  await hand.click(page.getByRole('button', { name: 'Find' }), 'find');
  await hand.click(page.locator('.candidates button', { hasText: 'f32' }).first(), 'the candidate');
  await hand.type(page.getByLabel('Name', { exact: true }), 'voltage_l1', 'a name');
  await page.locator('.preview .topic', { hasText: 'voltage_l1' }).waitFor();
  await hand.click(page.getByRole('button', { name: 'Add & review' }), 'add and review');
  await hand.click(page.getByRole('button', { name: 'Apply', exact: true }), 'apply');

  const seen = await until(() => /^(\S+\/voltage_l1) (\{.*\})$/m.exec(subscriber.output), 'the value at mosquitto_sub', PATIENCE_MS * 2);
  assert.equal(JSON.parse(seen[2]).v, 231.4);
  t.diagnostic(`${hand.count} interactions: ${hand.log.join(', ')}`);
  assert.ok(hand.count <= INTERACTIONS_MAX, `${hand.count} interactions: ${hand.log.join(', ')}`);
  // And it stands on the page, live.
  await page.goto('/live');
  await page.locator('.table .row', { hasText: 'voltage_l1' }).locator('.state.good').waitFor();
  assert.deepEqual(page.wrongs.all, []);
});
