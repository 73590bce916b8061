// First start: the one account that may do everything. There is no default password.

import { html, useState } from '../vendor/preact.js';
import { go } from '../lib/router.js';
import { session, setUp } from '../lib/session.js';
import { chooseLanguage, language, LANGUAGES, t } from '../lib/text.js';
import { Button, Password, Text, Trouble } from '../parts/controls.js';
import { Mark } from '../parts/mark.js';

export default function Setup() {
  const { needs_code: needsCode, gateway } = session.value;
  const [code, setCode] = useState('');
  const [user, setUser] = useState('admin');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await setUp(code.trim(), user.trim(), password);
      // What a new gateway needs next is a bus.
      go('/buses?new=1', { replace: true });
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<div class="stack">
    <${Mark} gateway=${gateway} />
    <form class="panel" onSubmit=${send}>
      <h1>${t.setup.title}</h1>
      <p class="quiet">${t.setup.text}</p>
      ${needsCode && html`<${Text} label=${t.setup.code} value=${code} onInput=${setCode} hint=${t.setup.codeHint} required autofocus inputmode="text" class="mono" />`}
      <${Text} label=${t.user} value=${user} onInput=${setUser} required autocomplete="username" autocapitalize="none" />
      <${Password} label=${t.password} value=${password} onInput=${setPassword} autocomplete="new-password" hint=${t.passwordHint} required autofocus=${!needsCode} />
      <${Trouble} error=${error} />
      <${Button} type="submit" kind="primary" busy=${busy}>${t.setup.create}<//>
    </form>
    <${Languages} /></div>`;
}

export function Languages() {
  return html`<p class="row-of languages">${Object.entries(LANGUAGES).map(([name, words]) => html`<button key=${name} type="button" class="button bare" lang=${name} aria-pressed=${language.value === name} onClick=${() => chooseLanguage(name)}>${words}</button>`)}</p>`;
}
