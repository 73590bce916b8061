// The scan that goes on, kept while the page is elsewhere: the gateway scans whether anybody looks or not.

import { signal } from '../vendor/preact.js';
import { call, get, post, Problem } from './api.js';

const EVERY_MS = 500;

/** `{ id, asked, of, eta_ms, done, found, … , target }`; `null` before the first. */
export const scan = signal(/** @type {any} */ (null));

let timer = 0;

/** @param {any} ask as POST /scan wants it @param {any} target what was asked, for the page */
export async function startScan(ask, target) {
  const { id, of } = await post('/scan', ask);
  follow({ id, of, asked: 0, done: false, found: [], unreachable: [], eta_ms: null, target });
}

/** Joins one that somebody else began. */
export function joinScan(id) {
  follow({ id, of: 0, asked: 0, done: false, found: [], unreachable: [], eta_ms: null, target: null });
}

export async function stopScan() {
  await call('DELETE', `/scan/${scan.peek().id}`);
}

function follow(begun) {
  clearTimeout(timer);
  scan.value = begun;
  look(begun.id, 0);
}

async function look(id, since) {
  const now = scan.peek();
  if (now?.id !== id) return;
  try {
    const said = await get(`/scan/${id}?since=${since}`);
    if (scan.peek()?.id !== id) return;
    scan.value = { ...now, ...said, found: [...now.found, ...said.found], trouble: null };
    if (!said.done) timer = window.setTimeout(() => look(id, said.next), EVERY_MS);
  } catch (error) {
    if (error instanceof Problem && error.code === 'not-found') scan.value = { ...now, done: true, trouble: error };
    else {
      scan.value = { ...now, trouble: error };
      timer = window.setTimeout(() => look(id, since), EVERY_MS * 4);
    }
  }
}
