// Where the page is: the address in the browser, and what it names.

import { computed, signal } from '../vendor/preact.js';

/** Path and query as one value, so that a change of both is one change. */
export const place = signal(here());

export const path = computed(() => place.value.path);

function here() {
  return { path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

/** Goes to an address of the page; `replace` leaves no step back. */
export function go(url, { replace = false } = {}) {
  if (url === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  const before = place.peek().path;
  place.value = here();
  if (before !== location.pathname) document.getElementById('main')?.scrollTo(0, 0);
}

/** Changes the query in place: filters are part of the address, and no steps back. */
export function setQuery(change) {
  const next = { ...here().query, ...change };
  const given = Object.entries(next).filter(([, value]) => value != null && value !== '' && value !== false);
  const search = new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString();
  go(location.pathname + (search ? `?${search}` : ''), { replace: true });
}

const SOON_MS = 300;
let soon = 0;
let pending = {};

/** The same when nobody types any more: browsers allow few changes of the address per second. */
export function setQuerySoon(change) {
  const { pathname } = location;
  pending = { ...pending, ...change };
  clearTimeout(soon);
  soon = window.setTimeout(() => {
    const wanted = pending;
    pending = {};
    if (location.pathname === pathname) setQuery(wanted);
  }, SOON_MS);
}

export function watchLinks() {
  addEventListener('popstate', () => { place.value = here(); });
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = /** @type {Element} */ (event.target)?.closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download')) return;
    if (link.origin !== location.origin || link.pathname.startsWith('/api/') || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
