// What will be published, asked of the gateway while it is typed.

import { html, useEffect, useState } from '../vendor/preact.js';
import { post } from '../lib/api.js';
import { t } from '../lib/text.js';
import { Problems } from './controls.js';
import { State } from './icon.js';

const PAUSE_MS = 250;

export function Preview({ name, device, section, tag, isNew, was, onValid }) {
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const wanted = JSON.stringify([name, device, tag]);
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      const { tags: _, ...own } = section;
      try {
        const next = await post('/preview', { name: name || 'name', device, tag, section: own, ...(isNew ? {} : { replaces: was }) }, { signal: stop.signal });
        setSaid(next);
        onValid(name ? next.valid : null);
      } catch { /* the next keystroke asks again; saving tells what is wrong */ }
    }, PAUSE_MS);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [wanted]);
  return html`<section class="preview" aria-live="polite"><h3>${t.editor.willPublish}</h3>
    ${!said ? html`<p class="quiet">…</p>` : html`
      <p class="mono topic">${said.topic ?? '–'}</p>
      ${said.payload != null && html`<pre>${pretty(said.payload)}</pre>`}
      <p class="row-of"><span class="quiet">QoS ${said.qos ?? 0}${said.retained ? ` · ${t.editor.retained}` : ''}</span>
        ${name && html`<${State} kind=${said.valid ? 'good' : 'bad'}>${said.valid ? t.editor.valid : t.editor.invalid}<//>`}</p>
      ${name && said.problems?.length > 0 && html`<${Problems} problems=${said.problems} />`}`}
  </section>`;
}

/** A payload as it is, broken only between its members. */
function pretty(payload) {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return text.replace(/,"/g, ',\n "');
}
