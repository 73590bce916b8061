// A unified diff, line by line; signs and colours say the same.

import { html } from '../vendor/preact.js';
import { t } from '../lib/text.js';

const LINES_SHOWN = 2_000;

const kind = (line) => ({ '+': 'added', '-': 'removed', '@': 'place' })[line[0]] ?? '';

export function Diff({ text }) {
  const lines = text.replace(/\n$/, '').split('\n').filter((line) => !/^(---|\+\+\+) /.test(line));
  return html`<pre class="diff" tabindex="0" aria-label=${t.difference}>${lines.slice(0, LINES_SHOWN).map((line) => html`<span class=${kind(line)}>${line}${'\n'}</span>`)}
    ${lines.length > LINES_SHOWN && html`<span class="place">${t.moreLines(lines.length - LINES_SHOWN)}</span>`}</pre>`;
}
