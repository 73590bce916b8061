// CSV into the draft: pasted from a spreadsheet or from a file. Looked at first; every row that is
// wrong is told with its place, and nothing is added before somebody says so.

import { html, useState } from '../vendor/preact.js';
import { call } from '../lib/api.js';
import { importRows } from '../lib/draft.js';
import { go } from '../lib/router.js';
import { t } from '../lib/text.js';
import { Button, Field, FilePicker, Trouble } from './controls.js';
import { Sheet, toast } from './overlay.js';

const ERRORS_SHOWN = 100;

/** The letter of a column, as spreadsheets have it; nothing for the whole row. */
const columnOf = (column) => (column > 0 && column <= 26 ? String.fromCharCode(64 + column) : '');

/** Spreadsheets copy with tabs; the gateway reads commas. */
export function asCsv(text) {
  const [first] = text.split('\n', 1);
  if (!first.includes('\t')) return text;
  const cell = (words) => (/[",\n]/.test(words) ? `"${words.replace(/"/g, '""')}"` : words);
  return text.split(/\r?\n/).map((line) => line.split('\t').map(cell).join(',')).join('\n');
}

export function Import({ onClose }) {
  const [text, setText] = useState('');
  const [looked, setLooked] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const look = async (next) => {
    setText(next);
    setLooked(null);
    if (!next.trim()) return;
    setBusy(true);
    setError(null);
    try { setLooked(await call('POST', '/mapping/import', { text: asCsv(next), type: 'text/csv', timeout: 60_000 })); } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const add = async () => {
    setBusy(true);
    setError(null);
    try {
      await importRows(asCsv(text));
      toast(t.mapping.imported(looked.rows_ok), { action: { label: t.first.review, run: () => go('/changes') } });
      onClose();
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<${Sheet} wide title=${t.mapping.import} onClose=${onClose}
    footer=${html`<${Button} onClick=${onClose}>${t.cancel}<//><${Button} busy=${busy} disabled=${!text.trim()} onClick=${() => look(text)}>${t.mapping.look}<//>
      <${Button} kind="primary" busy=${busy} disabled=${!looked?.rows_ok} onClick=${add}>${t.mapping.addRows(looked?.rows_ok ?? 0)}<//>`}>
    <p class="hint">${t.mapping.importHint}</p>
    <div class="row-of"><${FilePicker} label=${t.mapping.file} accept=".csv,text/csv,text/plain" onText=${look} /></div>
    <${Field} label=${t.mapping.paste}>${(ties) => html`<textarea ...${ties} class="text" spellcheck=${false} value=${text} onInput=${(e) => { setText(e.target.value); setLooked(null); }}
      onPaste=${(e) => { const said = e.clipboardData?.getData('text'); if (said && !text) { e.preventDefault(); look(said); } }}></textarea>`}<//>
    ${looked && html`<div role="status"><p><strong>${t.mapping.rowsOk(looked.rows_ok)}</strong>${looked.errors.length > 0 && html` · <strong>${t.mapping.rowsWrong(looked.errors.length)}</strong>`}</p>
      <ul class="problems">${looked.errors.slice(0, ERRORS_SHOWN).map((e) => html`<li><span class="at">${t.mapping.cell(e.line, columnOf(e.column))}</span> ${e.message}${e.hint ? html` <em>${e.hint}</em>` : ''}</li>`)}
      ${looked.errors.length > ERRORS_SHOWN && html`<li>${t.moreLeft(looked.errors.length - ERRORS_SHOWN)}</li>`}</ul></div>`}
    <${Trouble} error=${error} onClose=${() => setError(null)} />
  <//>`;
}
