// The gateway under test: the real binary, as the demonstration or with a configuration, and devices.

import { writeFileSync } from 'node:fs';
import { get as getOverTls } from 'node:https';
import { createConnection } from 'node:net';
import { join } from 'node:path';

import { BINARY, child, directory, freePort, said, until } from './processes.js';

/** `fieldhold demo`: everyone is signed in as administrator. */
export async function demo(t, { port = undefined, dir = directory(t) } = {}) {
  const at = port ?? await freePort();
  const process = child(t, BINARY, ['demo', '--web', `127.0.0.1:${at}`, '--state-dir', dir]);
  const [, base] = await said(process, /page on (http:\S+)/);
  const [, lan] = await said(process, /LAN broker on 127\.0\.0\.1:(\d+)/);
  await answers(`${base}/api/v1/session`);
  return { process, base, lan: Number(lan), dir, port: at };
}

/** `fieldhold run` with this configuration; `{web}` and `{lan}` stand for ports, `{dir}` for a directory. */
export async function gateway(t, text, { dir = directory(t), web = undefined, lan = undefined } = {}) {
  const at = { web: web ?? await freePort(), lan: lan ?? await freePort() };
  const path = join(dir, 'fieldhold.yaml');
  writeFileSync(path, text.replaceAll('{web}', String(at.web)).replaceAll('{lan}', String(at.lan)).replaceAll('{dir}', dir));
  const begun = Date.now();
  const process = child(t, BINARY, ['run', path]);
  const base = `${/tls: off/.test(text) ? 'http' : 'https'}://127.0.0.1:${at.web}`;
  return { process, base, lan: at.lan, web: at.web, dir, path, begun };
}

/** What a gateway out of the box has: a name, a store, a broker and the page, and nothing else. */
export const BOX = `# A gateway as it comes out of its box.
gateway: { name: box, site: plant1 }
store: { path: "{dir}/state" }
broker:
  listeners:
    - tcp: 127.0.0.1:{lan}
web: { listen: "127.0.0.1:{web}" }
`;

/** The same behind a proxy: without TLS of its own. Whoever makes its first account needs the code. */
export const PROXIED = BOX.replace('{web}" }', '{web}", tls: off }');

/** The code for the first account, as the gateway tells those who see its log. */
export async function setupCode({ process }) {
  return (await said(process, /setup_code="?([\w-]+)/))[1];
}

/** A device of a profile on a port of its own; its values stand still. */
export async function device(t, profile, ...more) {
  const port = await freePort();
  const process = child(t, BINARY, ['simulate', '--profile', profile, '--listen', `127.0.0.1:${port}`, '--fixed', ...more]);
  await until(() => listens(port), `the ${profile} listening`).catch((error) => { throw new Error(`${error.message}\n${process.output}`); });
  return { process, port };
}

function listens(port) {
  return new Promise((then) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => { socket.destroy(); then(true); });
    socket.once('error', () => then(false));
  });
}

/** Waits until this address answers anything but a refusal to connect. */
export function answers(url) {
  return until(() => (url.startsWith('https:') ? answersOverTls(url) : fetch(url).then((answer) => answer.ok, () => false)), `an answer of ${url}`);
}

/** Of a certificate that nobody was given yet. */
function answersOverTls(url) {
  return new Promise((then) => {
    getOverTls(url, { rejectUnauthorized: false }, (answer) => { answer.resume(); then(answer.statusCode === 200); }).on('error', () => then(false));
  });
}

/** A request to the API of a gateway, as its page sends them. */
export async function api(base, method, path, { body = undefined, text = undefined, type = 'text/csv', etag = undefined, cookie = undefined } = {}) {
  const headers = { Origin: base, 'Sec-Fetch-Site': 'same-origin', ...(cookie ? { Cookie: cookie } : {}), ...(etag ? { 'If-Match': etag } : {}) };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (text !== undefined) headers['Content-Type'] = type;
  const answer = await fetch(`${base}/api/v1${path}`, { method, headers, body: body !== undefined ? JSON.stringify(body) : text });
  const raw = await answer.text();
  let json = null;
  try { json = JSON.parse(raw); } catch { /* not JSON */ }
  return { status: answer.status, headers: answer.headers, text: raw, json };
}
