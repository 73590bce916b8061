// Values as they are now: each of these reads the signal of one tag, so that nothing else is drawn
// when it changes.

import { html } from '../vendor/preact.js';
import { ago, rounded } from '../lib/format.js';
import { clock } from '../lib/live.js';
import { t } from '../lib/text.js';
import { State } from './icon.js';

/** `good`, `uncertain:clamped`, `bad:exception-2`: how it looks, its word, its cause and what to do. */
export function quality(q) {
  const [level, why = ''] = (q ?? '').split(':');
  const kind = level === 'good' ? 'good' : level === 'uncertain' ? 'warn' : level === 'bad' ? 'bad' : 'off';
  const exception = /^exception-(\d+)$/.exec(why);
  const cause = exception ? t.exception(Number(exception[1])) : t.causes[why];
  return { kind, word: t.quality[kind], cause: cause?.cause ?? why, next: cause?.next ?? '' };
}

export function Value({ tag }) {
  const { v, q } = tag.now.value;
  const old = q.startsWith('bad');
  return html`<span class=${`value ${old ? 'old' : ''}`} title=${v ?? ''}>${v == null ? '–' : rounded(v)}${v != null && tag.unit ? html`<small>${tag.unit}</small>` : ''}</span>`;
}

export function Quality({ tag }) {
  const { kind, word, cause } = quality(tag.now.value.q);
  return html`<${State} kind=${kind} title=${cause}>${word}<//>`;
}

/** How old a good value is, else why there is none. */
export function Reason({ tag }) {
  const { q, vat, at } = tag.now.value;
  const { kind, cause } = quality(q);
  const now = clock.value;
  if (kind === 'good') return html`<span class="quiet">${at < NEVER ? '' : ago(now - at)}</span>`;
  return html`<span class="clip" title=${cause}>${cause}${vat != null && vat > NEVER ? html` · ${t.lastGood(ago(now - vat))}` : ''}</span>`;
}

/** Before this nothing was ever read; what was read before the page was opened has a negative time. */
export const NEVER = -1e14;

const W = 96;
const H = 24;

/** The last minute or so as a line. */
export function Spark({ tag }) {
  // Read for the subscription: the past moves when the value does.
  void tag.now.value;
  const { past } = tag;
  if (past.length < 2) return html`<svg class="spark" width=${W} height=${H} aria-hidden="true"></svg>`;
  let low = Infinity;
  let high = -Infinity;
  for (const value of past) { if (value < low) low = value; if (value > high) high = value; }
  const span = high - low || 1;
  let points = '';
  const step = W / (past.length - 1);
  for (let i = 0; i < past.length; i += 1) {
    points += `${(i * step).toFixed(1)},${(H - 3 - ((past[i] - low) / span) * (H - 6)).toFixed(1)} `;
  }
  return html`<svg class="spark" width=${W} height=${H} viewBox=${`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true"><polyline points=${points} /></svg>`;
}
