// Who is signed in, and what that person may do. The gateway decides; the page only hides what it would refuse.

import { computed, signal } from '../vendor/preact.js';
import { call, get, post, signedOut } from './api.js';

const RANK = { viewer: 1, operator: 2, admin: 3 };

/** As GET /session says; `null` before it answered. */
export const session = signal(/** @type {any} */ (null));

export const signedIn = computed(() => session.value?.state === 'signed-in');

export const may = (role) => (RANK[session.value?.role] ?? 0) >= RANK[role];

/** A session that ended while a page was open is asked for anew over that page, which stays as it is. */
export async function loadSession() {
  const next = await get('/session');
  if (signedIn.peek() && next.state !== 'signed-in') { signedOut.value = true; return; }
  session.value = next;
  signedOut.value = false;
}

export async function signIn(user, password) {
  const before = session.peek();
  const next = await post('/session', { user, password });
  // What is open belongs to somebody else.
  if (before?.user && before.user !== next.user) location.assign('/');
  session.value = next;
  signedOut.value = false;
}

export async function setUp(code, user, password) {
  session.value = await post('/setup', { ...(code ? { code } : {}), user, password });
  signedOut.value = false;
}

export async function signOut() {
  await call('DELETE', '/session');
  session.value = { ...session.value, state: 'signed-out', user: null, role: null };
}
