// Takes the pictures of docs/screenshots, of the demonstration: node tests/ui/screenshots.js

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { open, visit } from './support/browser.js';
import { demo } from './support/gateway.js';
import { ROOT, until } from './support/processes.js';

const PICTURES = join(ROOT, 'docs/screenshots');
/** Until there is a past to show. */
const PAST_MS = 75_000;

const ends = [];
const t = { after: (end) => ends.push(end) };

async function take(page, name) {
  await page.locator('.demo-strip').evaluateAll((strips) => strips.forEach((strip) => strip.remove()));
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

try {
  mkdirSync(PICTURES, { recursive: true });
  const { base } = await demo(t);
  const overview = await open(t, base);
  await visit(overview, '/');
  const uplink = await open(t, base, { dark: true });
  await visit(uplink, '/uplinks');
  await overview.waitForTimeout(PAST_MS);
  await take(overview, 'overview');

  await uplink.getByRole('button', { name: 'Cut the uplink' }).click();
  await uplink.waitForTimeout(PAST_MS);
  await until(() => uplink.locator('.panel .state.bad', { hasText: 'offline' }).isVisible(), 'the outage');
  await take(uplink, 'where-is-my-data');

  const registers = await open(t, base);
  await visit(registers, '/registers?bus=hall1&unit=1');
  await registers.getByLabel('The display shows').fill('1600');
  await registers.locator('.registers tbody button', { hasText: '.' }).first().waitFor();
  await registers.locator('.registers tbody tr').nth(1).getByRole('button').nth(0).click();
  await registers.getByLabel('Name', { exact: true }).fill('oil_temperature_raw');
  await registers.getByLabel('Scale').fill('0.1');
  await registers.locator('dialog').getByLabel('Unit', { exact: true }).fill('°C');
  await registers.getByRole('button', { name: 'Test read' }).click();
  await registers.locator('.test .state.good').waitFor();
  await take(registers, 'tag');
  await registers.getByRole('button', { name: 'Add & review' }).click();
  await registers.locator('.diff').waitFor();
  await take(registers, 'changes');
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const end of ends.reverse()) await end();
  process.exit();
}
