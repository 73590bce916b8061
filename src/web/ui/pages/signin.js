// Signing in; also over a page whose session ended, so that nothing typed there is lost.

import { html, useState } from '../vendor/preact.js';
import { session, signIn } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Button, Password, Text, Trouble } from '../parts/controls.js';
import { Mark } from '../parts/mark.js';
import { Languages } from './setup.js';

export function SignIn({ over = false }) {
  const [user, setUser] = useState(session.value?.user ?? '');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try { await signIn(user.trim(), password); } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  const form = html`<div class="stack">
    <${Mark} gateway=${session.value?.gateway} />
    <form class="panel" onSubmit=${send}>
      <h1>${over ? t.signIn.again : t.signIn.title}</h1>
      ${over && html`<p class="quiet">${t.signIn.againText}</p>`}
      <${Text} label=${t.user} value=${user} onInput=${setUser} required autocomplete="username" autocapitalize="none" autofocus=${!user} />
      <${Password} label=${t.password} value=${password} onInput=${setPassword} required autofocus=${!!user} />
      <${Trouble} error=${error} />
      <${Button} type="submit" kind="primary" busy=${busy}>${t.signIn.title}<//>
      <p class="hint">${t.signIn.forgot} <code>fieldhold user passwd ${user || 'NAME'}</code></p>
    </form>
    <${Languages} /></div>`;
  return over ? html`<div class="over" role="dialog" aria-modal="true" aria-label=${t.signIn.again}><main class="alone">${form}</main></div>`
    : html`<main id="main" class="alone">${form}</main>`;
}
