// Parts of a page side by side; which one is open is part of the address.

import { html } from '../vendor/preact.js';
import { place, setQuery } from '../lib/router.js';

/** `tabs`: [key, words] pairs; the first is the one without a word in the address. */
export function Tabs({ label, tabs, value }) {
  void place.value;
  return html`<nav class="tabs" aria-label=${label}>${tabs.map(([key, words], i) => html`<a key=${key} href=${`${location.pathname}${i ? `?tab=${key}` : ''}`} aria-current=${key === value ? 'page' : undefined}
    onClick=${(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); setQuery({ tab: i ? key : null }); }}>${words}</a>`)}</nav>`;
}
