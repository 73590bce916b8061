// Many tags at once: what is left empty stays as each of them has it.

import { html, useState } from '../vendor/preact.js';
import { edit } from '../lib/draft.js';
import { typed } from '../lib/format.js';
import { go } from '../lib/router.js';
import { t } from '../lib/text.js';
import { CLASSES, ORDERS } from '../lib/mapping.js';
import { Button, Select, Text, Trouble } from './controls.js';
import { confirm, Sheet, toast } from './overlay.js';

/** A field of a sensor's frame has no register. */
const fits = (key, row) => row.table !== 'field' || !['shift', 'order', 'scale', 'offset'].includes(key);

const pathOf = (row) => ['devices', row.device, 'tags', row.tag];

export function Bulk({ rows, onClose }) {
  const [form, setForm] = useState(/** @type {any} */ ({}));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const set = (key) => (value) => setForm((now) => ({ ...now, [key]: value }));
  const run = async (edits, words) => {
    setBusy(true);
    setError(null);
    try {
      await edit(edits);
      toast(words, { action: { label: t.first.review, run: () => go('/changes') } });
      onClose(true);
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const given = Object.entries(form).filter(([, value]) => value !== undefined && value !== '');
  const save = () => {
    const edits = rows.flatMap((row) => given.filter(([key]) => fits(key, row)).map(([key, value]) => {
      if (key === 'shift') return { op: 'set', path: [...pathOf(row), row.table], value: Number(row.address) + (typed(value) ?? 0) };
      const number = key === 'scale' || key === 'offset' ? typed(value) ?? value : value;
      return { op: 'set', path: [...pathOf(row), key], value: number };
    }));
    return run(edits, t.mapping.bulkDone(rows.length));
  };
  const remove = async () => {
    if (await confirm({ title: t.mapping.removeTitle(rows.length), text: t.editor.removeText, yes: t.remove, danger: true })) {
      await run(rows.map((row) => ({ op: 'remove', path: pathOf(row) })), t.mapping.removed(rows.length));
    }
  };
  const keep = ['', t.mapping.asIs];
  return html`<${Sheet} title=${t.mapping.bulk(rows.length)} onClose=${() => onClose(false)}
    footer=${html`<${Button} kind="danger first" busy=${busy} onClick=${remove}>${t.remove}<//><${Button} onClick=${() => onClose(false)}>${t.cancel}<//>
      <${Button} kind="primary" busy=${busy} disabled=${given.length === 0} onClick=${save}>${t.editor.save}<//>`}>
    <p class="hint">${t.mapping.bulkHint}</p>
    <div class="fields">
      <${Text} label=${t.editor.every} value=${form.every ?? ''} onInput=${set('every')} placeholder=${t.mapping.asIs} />
      <${Select} label=${t.editor.send} value=${form.publish ?? ''} onChange=${set('publish')} options=${[keep, ['always', t.editor.always], ['changes', t.editor.changes]]} />
      <${Select} label=${t.editor.class} value=${form.class ?? ''} onChange=${set('class')} options=${[keep, ...CLASSES]} />
      <${Select} label=${t.editor.order} value=${form.order ?? ''} onChange=${set('order')} options=${[keep, ...ORDERS]} />
      <${Text} label=${t.editor.unit} value=${form.unit ?? ''} onInput=${set('unit')} placeholder=${t.mapping.asIs} />
      <${Text} label=${t.editor.scale} value=${form.scale ?? ''} onInput=${set('scale')} inputmode="decimal" placeholder=${t.mapping.asIs} />
      <${Text} label=${t.editor.offset} value=${form.offset ?? ''} onInput=${set('offset')} inputmode="decimal" placeholder=${t.mapping.asIs} />
      <${Text} label=${t.mapping.shift} value=${form.shift ?? ''} onInput=${set('shift')} inputmode="numeric" placeholder="0" hint=${t.mapping.shiftHint} />
    </div>
    <${Trouble} error=${error} onClose=${() => setError(null)} />
  <//>`;
}
