// States of buses, devices, uplinks and the store, as shape and word.

import { t } from '../lib/text.js';

/** States come as a word, or as `{ state: word, … }` of the full status. */
const wordOf = (state) => (typeof state === 'string' ? state : state?.state);

const BUS = { up: 'good', connecting: 'busy', down: 'bad', stopped: 'off' };
const DEVICE = { ok: 'good', unknown: 'busy', silent: 'bad', exception: 'warn' };
const UPLINK = { online: 'good', connecting: 'busy', offline: 'bad', stopped: 'off' };
const STORE = { ok: 'good', 'memory-only': 'warn', 'ram-only': 'bad', closed: 'off' };

export function busState(bus) {
  const state = wordOf(bus.state);
  return { kind: BUS[state] ?? 'off', word: t.bus[state] ?? state };
}

export function deviceState(device) {
  const state = wordOf(device.state);
  return { kind: DEVICE[state] ?? 'off', word: t.device[state] ?? state };
}

export function uplinkState(uplink) {
  const state = wordOf(uplink.state);
  return { kind: UPLINK[state] ?? 'off', word: t.uplink[state] ?? state };
}

export function storeState(store) {
  const state = wordOf(store.health ?? store);
  return { kind: STORE[state] ?? 'off', word: t.store[state] ?? state };
}
