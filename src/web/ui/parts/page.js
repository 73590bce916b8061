// Which page an address is, loaded when it is asked for the first time.

import { html, useEffect, useErrorBoundary, useState } from '../vendor/preact.js';
import { place } from '../lib/router.js';
import { t } from '../lib/text.js';
import { staleMs } from '../lib/live.js';
import { duration } from '../lib/format.js';
import { session } from '../lib/session.js';
import { Trouble } from './controls.js';
import { Demo } from './demo.js';
import { Shape } from './icon.js';

/** First segment of the path → its module; the default export is the page. */
const PAGES = {
  '': () => import('../pages/overview.js'),
  setup: () => import('../pages/setup.js'),
  live: () => import('../pages/live.js'),
  registers: () => import('../pages/registers.js'),
  changes: () => import('../pages/changes.js'),
  mapping: () => import('../pages/mapping.js'),
  buses: () => import('../pages/buses.js'),
  scan: () => import('../pages/scan.js'),
  uplinks: () => import('../pages/uplinks.js'),
  rehearse: () => import('../pages/rehearse.js'),
  trace: () => import('../pages/trace.js'),
  broker: () => import('../pages/broker.js'),
  config: () => import('../pages/config.js'),
  profiles: () => import('../pages/profiles.js'),
  users: () => import('../pages/users.js'),
  system: () => import('../pages/system.js'),
};

/** @type {Map<string, any>} */
const loaded = new Map();

export const segments = (path) => path.split('/').filter(Boolean).map(decodeURIComponent);

export function Page({ path, alone = false }) {
  const [name = '', ...rest] = segments(path);
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState(null);
  const load = PAGES[name];
  useEffect(() => {
    if (!load || loaded.has(name)) return;
    setFailed(null);
    load().then((module) => { loaded.set(name, module.default); redraw((n) => n + 1); }, setFailed);
  }, [name, failed === null]);
  const Content = loaded.get(name);
  const title = t.nav[name || 'overview'];
  useEffect(() => { document.title = `${title ?? t.notFound} · Fieldhold`; }, [title]);
  return html`<main id="main" class=${alone ? 'alone' : ''} tabindex="-1">
    ${!alone && html`<${Stale} />${session.value?.demo && html`<${Demo} />`}`}
    ${!load ? html`<div class="panel"><h1>${t.notFound}</h1><p>${t.notFoundHint}</p><p><a class="button" href="/">${t.nav.overview}</a></p></div>`
      : failed ? html`<${Trouble} error=${failed} onRetry=${() => setFailed(null)} />`
      : Content ? html`<${Guarded} key=${name}><${Content} rest=${rest} query=${place.value.query} /><//>`
      : html`<p class="quiet loading" role="status">${t.loading}</p>`}
  </main>`;
}

/** One page that fails takes no other with it. */
function Guarded({ children }) {
  const [error, again] = useErrorBoundary((failed) => console.error(failed));
  return error ? html`<${Trouble} error=${error} onRetry=${again} />` : children;
}

/** No data for some seconds: how old is what is shown. */
function Stale() {
  const age = staleMs.value;
  if (age == null) return null;
  return html`<div class="stale" role="status"><${Shape} kind="warn" /><span>${t.stale(duration(age))}</span></div>`;
}
