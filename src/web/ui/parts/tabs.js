// Parts of a page side by side; which one is open is part of the address.

import { html, useEffect, useRef } from '../vendor/preact.js';
import { place, setQuery } from '../lib/router.js';

/** `tabs`: [key, words] pairs; the first is the one without a word in the address. */
export function Tabs({ label, tabs, value }) {
  void place.value;
  const row = useRef(null);
  // The open one is in sight, also where they don't all fit.
  useEffect(() => { row.current.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }); }, [value]);
  return html`<nav class="tabs" aria-label=${label} ref=${row}>${tabs.map(([key, words], i) => html`<a key=${key} href=${`${location.pathname}${i ? `?tab=${key}` : ''}`} aria-current=${key === value ? 'page' : undefined}
    onClick=${(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); setQuery({ tab: i ? key : null }); }}>${words}</a>`)}</nav>`;
}
