// Changing one's own password.

import { html, useState } from '../vendor/preact.js';
import { post } from '../lib/api.js';
import { t } from '../lib/text.js';
import { Button, Password, Trouble } from './controls.js';
import { toast } from './overlay.js';

export function PasswordForm({ onDone }) {
  const [old, setOld] = useState('');
  const [next, setNext] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await post('/session/password', { old, new: next });
      toast(t.head.passwordChanged);
      onDone();
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<form onSubmit=${send}>
    <${Password} label=${t.head.oldPassword} value=${old} onInput=${setOld} required />
    <${Password} label=${t.head.newPassword} value=${next} onInput=${setNext} autocomplete="new-password" hint=${t.passwordHint} required />
    <${Trouble} error=${error} />
    <${Button} type="submit" kind="primary" busy=${busy}>${t.head.changePassword}<//></form>`;
}
