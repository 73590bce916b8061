// A few values large on the overview: those that somebody watches, else the first ones that move.

import { html, signal } from '../vendor/preact.js';
import { tagOf, tags } from '../lib/live.js';
import { keep, read, t } from '../lib/text.js';
import { State } from './icon.js';
import { quality, Spark, Value } from './values.js';

const KEPT_AS = 'fieldhold.watched';
const FIRST = 8;
const MOST = 24;

function kept() {
  try {
    const keys = JSON.parse(read(KEPT_AS) ?? '[]');
    return Array.isArray(keys) ? keys.filter((key) => typeof key === 'string').slice(0, MOST) : [];
  } catch { return []; }
}

/** Keys of watched tags; kept in this browser. */
const watched = signal(kept());

export const isWatched = (key) => watched.value.includes(key);

export function watchTag(key) {
  const now = watched.peek();
  watched.value = now.includes(key) ? now.filter((one) => one !== key) : [...now, key].slice(-MOST);
  keep(KEPT_AS, JSON.stringify(watched.value));
}

function Tile({ tag }) {
  const { kind, word } = quality(tag.now.value.q);
  return html`<li><a href=${`/live?tag=${encodeURIComponent(tag.key)}`}>
    <span class="clip" title=${tag.key}><small>${tag.device}</small><br /><strong>${tag.tag}</strong></span>
    <${Value} tag=${tag} />
    <span class="foot">${kind === 'good' ? html`<${Spark} tag=${tag} />` : html`<${State} kind=${kind}>${word}<//>`}</span></a></li>`;
}

export function Tiles() {
  const own = watched.value.map(tagOf).filter(Boolean);
  const shown = own.length ? own : tags.value.filter((tag) => tag.unit).slice(0, FIRST);
  if (shown.length === 0) return null;
  return html`<section aria-labelledby="watched"><div class="title"><h2 id="watched">${t.overview.watched}</h2>${own.length === 0 && html`<p class="lead hint">${t.overview.watchedHint}</p>`}</div>
    <ul class="tiles">${shown.map((tag) => html`<${Tile} key=${tag.key} tag=${tag} />`)}</ul></section>`;
}
