// What the page costs: the browser's processor with 500 values a second, typing over 5,000 tags, and
// the gateway's memory with five tabs. Prints figures, judges none of them.
//
//   node tests/bench/ui.js                       after tests/run has brought the driver once
//   FIELDHOLD_BIN=target/release/fieldhold …     for the memory that counts

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { open, visit } from '../ui/support/browser.js';
import { answers, gateway, PROXIED } from '../ui/support/gateway.js';
import { signedIn } from '../ui/support/people.js';
import { BINARY, child, directory, freePort } from '../ui/support/processes.js';

/** The part of a test that the fixtures need. */
class Bench {
  constructor() { this.ends = []; }

  after(end) { this.ends.push(end); }

  async end() { for (const end of this.ends.reverse()) await end(); }
}

/** A slow tablet, as against this machine. */
const THROTTLE = 6;
const SECONDS = 15;

/** So many values that move, read once a second from a simulated device. */
async function plant(t, tags) {
  const dir = directory(t);
  const port = await freePort();
  const devices = Array.from({ length: Math.ceil(tags / 100) }, (_, d) => `  meter${d}:\n    bus: hall\n    unit: ${d + 1}\n    every: 1s\n    tags:\n${Array.from({ length: Math.min(100, tags - d * 100) }, (__, i) => `      value_${String(i).padStart(2, '0')}: { holding: ${i * 2}, type: f32, unit: V }`).join('\n')}`).join('\n');
  const text = `${PROXIED}buses:\n  hall: { modbus-tcp: { host: 127.0.0.1, port: ${port} } }\ndevices:\n${devices}\n`;
  const played = join(dir, 'plant.yaml');
  writeFileSync(played, text.replaceAll('{web}', '1').replaceAll('{lan}', '2').replaceAll('{dir}', dir));
  child(t, BINARY, ['simulate', played, '--listen', `hall=127.0.0.1:${port}`]);
  const started = await gateway(t, text, { dir });
  await answers(`${started.base}/api/v1/session`);
  return started;
}

/** Seconds of the main thread per second, by what the browser counts of its tasks. */
async function load(page, throttle) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable');
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: throttle });
  const counted = async () => Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
  const before = await counted();
  await page.waitForTimeout(SECONDS * 1_000);
  const after = await counted();
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 });
  return (after.TaskDuration - before.TaskDuration) / (after.Timestamp - before.Timestamp);
}

/** For each key: from the key to the frame that shows what it did. */
async function typing(page, text) {
  const filter = page.locator('[data-filter]');
  await filter.focus();
  await page.evaluate(() => {
    globalThis.keys = [];
    document.addEventListener('keydown', () => { const at = performance.now(); requestAnimationFrame(() => setTimeout(() => globalThis.keys.push(performance.now() - at))); }, { capture: true });
  });
  for (const key of text) {
    await page.keyboard.press(key === ' ' ? 'Space' : key);
    await page.waitForTimeout(120);
  }
  return page.evaluate(() => globalThis.keys);
}

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

const t = new Bench();
try {
  const busy = await plant(t, 500);
  const page = await signedIn(t, busy);
  for (const path of ['/live', '/', '/mapping']) {
    await visit(page, path);
    await page.waitForTimeout(3_000);
    console.log(`500 tags at 1 Hz, ${path}, ${THROTTLE} x throttled: ${(await load(page, THROTTLE)).toFixed(3)} s of CPU per second`);
  }
  const state = await page.context().storageState();
  for (let i = 0; i < 4; i += 1) {
    const tab = await open(t, busy.base);
    await tab.context().addCookies(state.cookies);
    await visit(tab, ['/live', '/', '/uplinks', '/buses'][i]);
  }
  await page.waitForTimeout(5_000);
  console.log(`gateway with 5 open tabs and 500 tags at 1 Hz: ${rss(busy.process.child.pid).toFixed(1)} MiB resident (${BINARY})`);

  const large = await plant(t, 5_000);
  const mapping = await signedIn(t, large);
  await visit(mapping, '/mapping');
  await mapping.getByText('5,000 values').waitFor();
  const times = (await typing(mapping, 'meter42 value_77')).sort((a, b) => a - b);
  console.log(`5,000 tags, typing in the mapping table: ${times[times.length >> 1].toFixed(1)} ms in the middle, ${times.at(-1).toFixed(1)} ms at most, of ${times.length} keys`);
} finally {
  await t.end();
  process.exit(process.exitCode ?? 0);
}
