// What the gateway says now: one stream of events per tab, kept as signals, so that only what
// changed is drawn. Closed while the tab is hidden; opened again for ever.

import { batch, computed, effect, signal, untracked } from '../vendor/preact.js';
import { pages, signedOut } from './api.js';
import { loadSession, signedIn } from './session.js';

/** Silence after which the page says how old its values are, and after which it connects anew. */
const STALE_MS = 3_000;
const SILENT_MS = 12_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 10_000;
/** Values kept per tag for its line. */
export const PAST = 60;

/** @typedef {{ v: string | null, q: string, at: number, vat: number | null }} Now */
/** @typedef {{ key: string, device: string, tag: string, bus: string, unit_id: number, topic: string, unit: string, source: string, every_ms: number, writable: boolean, search: string, now: import('../vendor/preact.js').Signal<Now>, past: number[] }} Tag */

/** Tags of the running configuration, in its order; the array is another one when they are others. */
export const tags = signal(/** @type {Tag[]} */ ([]));
export const tagsLoaded = signal(false);
/** @type {Map<string, Tag>} */
const byKey = new Map();

/** The compact status of the stream; `null` before the first. */
export const status = signal(/** @type {any} */ (null));
/** Milliseconds of this browser's clock, moved once a second: ages are drawn from it. */
export const clock = signal(performance.now());
const lastEvent = signal(performance.now());
/** How long nothing came, once that is long enough to be told. */
export const staleMs = computed(() => {
  const silent = clock.value - lastEvent.value;
  return silent > STALE_MS ? silent : null;
});

export const tagOf = (key) => byKey.get(key);

/** @type {EventSource | null} */
let source = null;
let retry = RETRY_FIRST_MS;
let waiting = 0;
/** When the stream was asked for: a new attempt has its time. */
let opened = 0;
let shown = 0;

const HAVE = 1e15; // ages of values that never came

function heard() { lastEvent.value = performance.now(); }

/** @param {any} row */
function nowOf(row, at) {
  return { v: row.v ?? null, q: row.q ?? '', at: at - (row.a ?? HAVE), vat: row.va == null ? null : at - row.va };
}

/** @param {{ k: string, v: any, q: string, a: number, va: number }[]} rows */
function take(rows) {
  const at = performance.now();
  let strange = false;
  batch(() => {
    for (const row of rows) {
      const tag = byKey.get(row.k);
      if (!tag) { strange = true; continue; }
      const next = nowOf(row, at);
      const value = Number(next.v);
      if (next.q.startsWith('good') && next.v != null && Number.isFinite(value)) {
        tag.past.push(value);
        if (tag.past.length > PAST) tag.past.shift();
      }
      tag.now.value = next;
    }
  });
  if (strange) loadTags();
}

let loading = false;

/** Loads the tags of the running configuration; signals of tags that stay are kept. */
export async function loadTags() {
  if (loading) return;
  loading = true;
  try {
    const { rows } = await pages('/tags');
    const at = performance.now();
    const kept = new Map();
    batch(() => {
      for (const row of rows) {
        const key = `${row.device}/${row.tag}`;
        const before = byKey.get(key);
        const now = nowOf({ v: row.value, q: row.quality, a: row.age_ms, va: row.value_age_ms }, at);
        const search = `${row.device} ${row.tag} ${row.topic} ${row.unit} ${row.bus}`.toLowerCase();
        if (before) before.now.value = now;
        kept.set(key, { ...row, key, search, now: before?.now ?? signal(now), past: before?.past ?? [] });
      }
      byKey.clear();
      for (const [key, tag] of kept) byKey.set(key, tag);
      tags.value = [...kept.values()];
      tagsLoaded.value = true;
    });
  } catch { /* the stream goes on, and asks again when it meets a tag it does not know */ } finally {
    // Not at once again when a tag is on the stream and not in the list.
    setTimeout(() => { loading = false; }, 1_000);
  }
}

function open() {
  close();
  if (document.hidden || !signedIn.peek() || signedOut.peek()) return;
  const stream = new EventSource('/api/v1/events');
  source = stream;
  opened = performance.now();
  const on = (name, then) => stream.addEventListener(name, (event) => {
    heard();
    then(event.data ? JSON.parse(event.data) : null);
  });
  on('hello', () => { retry = RETRY_FIRST_MS; loadTags(); });
  on('status', (now) => {
    const version = now.configuration?.version;
    if (shown && version !== shown) loadTags();
    shown = version;
    status.value = { ...now, at: performance.now() };
  });
  on('values', (values) => {
    take(values.tags);
    // Tags that went: the configuration that runs is another one.
    if (values.gone?.length) loadTags();
  });
  on('resync', () => loadTags());
  stream.onerror = () => again(stream);
}

/** The browser itself gives up after an answer that is no stream; the page never does. */
async function again(stream) {
  if (stream !== source) return;
  close();
  waiting = window.setTimeout(open, retry);
  retry = Math.min(retry * 2, RETRY_LAST_MS);
  // Whether it is only that nobody is signed in any more.
  await loadSession().catch(() => {});
}

function close() {
  clearTimeout(waiting);
  source?.close();
  source = null;
}

/** Begins with the session, and goes on until the tab ends. */
export function watch() {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { close(); return; }
    heard();
    clock.value = performance.now();
    open();
  });
  addEventListener('online', () => { retry = RETRY_FIRST_MS; open(); });
  setInterval(() => {
    if (document.hidden) return;
    clock.value = performance.now();
    if (source && clock.value - Math.max(lastEvent.peek(), opened) > SILENT_MS) open();
  }, 1_000);
  // Whenever somebody is signed in, or is so again.
  effect(() => { if (signedIn.value && !signedOut.value) untracked(open); });
}
