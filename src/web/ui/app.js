// The shell: what is on every page. It starts here, with the words, the session and the stream.

import { html, render, useEffect, useErrorBoundary, useState } from './vendor/preact.js';
import { signedOut } from './lib/api.js';
import { watchKeys } from './lib/keyboard.js';
import { watch } from './lib/live.js';
import { conflict } from './lib/draft.js';
import { path, watchLinks } from './lib/router.js';
import { loadSession, session } from './lib/session.js';
import { chooseLanguage, t } from './lib/text.js';
import { Trouble } from './parts/controls.js';
import { Conflict } from './parts/conflict.js';
import { Head } from './parts/head.js';
import { Navigation } from './parts/navigation.js';
import { Overlays } from './parts/overlay.js';
import { Page } from './parts/page.js';
import { SignIn } from './pages/signin.js';

function App() {
  const [error, again] = useErrorBoundary();
  const now = session.value;
  if (error) return html`<main id="main" class="alone"><${Trouble} error=${error} onRetry=${again} /></main>`;
  if (!now) return html`<${Start} />`;
  if (now.state === 'setup') return html`<${Page} path="/setup" alone /><${Overlays} />`;
  if (now.state !== 'signed-in') return html`<${SignIn} />`;
  return html`
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById('main').focus(); }}>${t.skip}</a>
    <${Head} />
    <${Navigation} />
    <${Page} path=${path.value === '/setup' ? '/' : path.value} />
    <${Overlays} />
    ${conflict.value && html`<${Conflict} />`}
    ${signedOut.value && html`<${SignIn} over />`}`;
}

/** Until the gateway says who is there: at the first start with all buses dead, too. */
function Start() {
  const [failed, setFailed] = /** @type {any} */ (useStart());
  return html`<main id="main" class="alone">${failed
    ? html`<${Trouble} error=${failed} onRetry=${() => setFailed(null)} />`
    : html`<p class="quiet" role="status">${t.connecting}</p>`}</main>`;
}

/** Asks again every few seconds, for ever. */
function useStart() {
  const state = useState(null);
  useEffect(() => {
    let timer = 0;
    let ended = false;
    const ask = () => loadSession().catch((error) => {
      if (ended) return;
      state[1](error);
      timer = setTimeout(ask, 2_000);
    });
    ask();
    return () => { ended = true; clearTimeout(timer); };
  }, []);
  return state;
}

await chooseLanguage();
watchLinks();
watchKeys();
watch();
render(html`<${App} />`, document.getElementById('app'));
