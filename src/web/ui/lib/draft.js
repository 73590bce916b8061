// The draft of the next configuration, as the gateway keeps it: read, edited with If-Match, applied.
// Two who edit at once get a 409; nothing of either is overwritten unseen.

import { computed, effect, signal } from '../vendor/preact.js';
import { call, get, post, Problem } from './api.js';
import { status } from './live.js';
import { session } from './session.js';

/** As GET /draft says; `null` before it was asked for. */
export const draft = signal(/** @type {any} */ (null));

/** What somebody else changed meanwhile: the problem with its diff; `answer` says what shall become of the own edits. */
export const conflict = signal(/** @type {{ problem: any, mine: boolean, answer: (again: boolean) => void } | null} */ (null));

/** How many edit what they saw: others' changes do not come under their hands, but as a conflict. */
const held = signal(0);

/** Changes that are not applied: of the own draft if it is loaded and new, else as the gateway counts. */
export const changeCount = computed(() =>
  draft.value && held.value === 0 ? draft.value.changes.length + (draft.value.changes_left ?? 0) : status.value?.configuration?.draft_changes ?? 0);

export const tree = computed(() => draft.value?.tree ?? null);
export const buses = computed(() => tree.value?.buses ?? {});
export const devices = computed(() => tree.value?.devices ?? {});

export async function loadDraft() {
  draft.value = await get('/draft');
  return draft.value;
}

/** Loads it unless it is there. */
export const needDraft = () => (draft.peek() ? Promise.resolve(draft.peek()) : loadDraft());

/**
 * @param {({ op: 'set', path: string[], value: any } | { op: 'remove', path: string[] } | { op: 'rename', path: string[], to: string })[]} edits
 */
export const edit = (edits) => guarded(true, () => post('/draft/edits', { edits }, { etag: draft.peek().etag }));

/** The whole text anew; on a conflict it can't be laid over what somebody else wrote. */
export const putText = (text) => guarded(false, () => call('PUT', '/draft', { body: { text }, etag: draft.peek().etag }));

export const importRows = (csv) => guarded(true, () => call('POST', '/mapping/import?add=1', { text: csv, type: 'text/csv', etag: draft.peek().etag, timeout: 60_000 }));

/** Sends with the newest etag; when somebody else was faster, whoever sits here decides. */
async function guarded(mine, send) {
  await needDraft();
  try {
    const next = await send();
    if (next?.etag && next.changes) draft.value = next;
    else await loadDraft();
    return next;
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'changed') throw error;
    const again = await new Promise((answer) => { conflict.value = { problem: error.said, mine, answer }; });
    conflict.value = null;
    await loadDraft();
    if (!again) throw error;
    return guarded(mine, send);
  }
}

export async function discard() {
  await call('DELETE', '/draft');
  await loadDraft();
}

/** @param {number} [confirmS] seconds after which it is undone unless somebody confirms */
export async function apply(confirmS) {
  const done = await post('/draft/apply', confirmS ? { confirm_s: confirmS } : {}, { etag: draft.peek().etag, timeout: 60_000 });
  await loadDraft();
  return done;
}

/** Where a request to a bus goes: to the running one by its name, to one that is only drafted by its link. */
export function busTarget(name) {
  if (status.peek()?.buses?.[name]) return { bus: name };
  const drafted = buses.peek()[name];
  return drafted ? { link: drafted } : { bus: name };
}

/** Between names in one text; no name has it. */
const BETWEEN = '\n';

// As one text first, so that the list is another one only when the names are.
const busNamesText = computed(() => [...new Set([...Object.keys(status.value?.buses ?? {}), ...Object.keys(buses.value)])].join(BETWEEN));

/** Names of buses: those that run, and those that are drafted. */
export const busNames = computed(() => (busNamesText.value ? busNamesText.value.split(BETWEEN) : []));

/** The device of the draft that is this unit of this bus. */
export function deviceAt(bus, unit) {
  return Object.entries(devices.peek()).find(([, device]) => device?.bus === bus && (device.unit ?? 1) === unit)?.[0] ?? null;
}

/** Keeps the draft as it was seen until the answer is called. */
export function hold() {
  held.value = held.peek() + 1;
  return () => { held.value = held.peek() - 1; };
}

/** Somebody else's edits are loaded when the gateway counts other changes than before. */
let counted = 0;
effect(() => {
  const now = status.value?.configuration?.draft_changes;
  if (now == null || now === counted || held.value > 0) return;
  counted = now;
  const own = draft.peek();
  if (own && now !== own.changes.length + (own.changes_left ?? 0)) loadDraft().catch(() => {});
});

/** Forgets what belongs to who was signed in before. */
export function forgetDraft() { if (session.peek()) draft.value = null; }
