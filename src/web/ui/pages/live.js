// All values as they are now. Filters are part of the address.

import { html, useMemo, useState } from '../vendor/preact.js';
import { number } from '../lib/format.js';
import { clock, tagOf, tags, tagsLoaded } from '../lib/live.js';
import { setQuery, setQuerySoon } from '../lib/router.js';
import { t } from '../lib/text.js';
import { Check, Filter, Select } from '../parts/controls.js';
import { Table } from '../parts/table.js';
import { useLater } from '../parts/use_later.js';
import { TagSheet } from '../parts/tag_sheet.js';
import { Quality, quality, Reason, Spark, Value } from '../parts/values.js';

const columns = () => [
  { key: 'tag', head: t.live.tag, width: 'minmax(0,1.6fr)', narrow: 'title', cell: (tag) => html`<span class="clip" title=${`${tag.device}/${tag.tag}`}><span class="quiet">${tag.device} / </span><strong>${tag.tag}</strong></span>` },
  { key: 'value', head: t.live.value, class: 'number', width: 'minmax(0,1fr)', narrow: 'value', cell: (tag) => html`<${Value} tag=${tag} />` },
  { key: 'past', head: t.live.past, width: '96px', cell: (tag) => html`<${Spark} tag=${tag} />` },
  { key: 'quality', head: t.live.quality, width: '110px', narrow: 'state', cell: (tag) => html`<${Quality} tag=${tag} />` },
  { key: 'reason', head: t.live.reason, width: 'minmax(0,1.6fr)', narrow: 'sub', cell: (tag) => html`<${Reason} tag=${tag} />` },
];

const isBad = (tag) => quality(tag.now.peek().q).kind !== 'good';

export default function Live({ query }) {
  const [typed, setTyped] = useState(query.q ?? '');
  const bad = query.bad === '1';
  const all = tags.value;
  const devices = useMemo(() => [...new Set(all.map((tag) => tag.device))].sort(), [all]);
  const sought = useLater(typed);
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  // Which are bad changes with the time; what was typed does not.
  const second = bad ? clock.value : 0;
  const rows = useMemo(() => all.filter((tag) => words.every((word) => tag.search.includes(word))
    && (!query.device || tag.device === query.device) && (!bad || isBad(tag))), [all, sought, query.device, bad, second]);
  const open = query.tag ? tagOf(query.tag) : null;
  const cells = useMemo(columns, [t]);
  const empty = !tagsLoaded.value ? t.loading : all.length ? t.live.noneFits : t.live.none;
  const table = useMemo(() => html`<${Table} label=${t.nav.live} columns=${cells} rows=${rows} keyOf=${(tag) => tag.key} onOpen=${(tag) => setQuery({ tag: tag.key })} empty=${empty} />`, [cells, rows, empty]);
  return html`
    <div class="title"><h1>${t.nav.live}</h1><span class="quiet" role="status">${rows.length === all.length ? t.live.count(number(all.length)) : t.live.shown(number(rows.length), number(all.length))}</span></div>
    <div class="bar tools">
      <${Filter} value=${typed} onInput=${(text) => { setTyped(text); setQuerySoon({ q: text }); }} />
      <${Select} label=${t.live.device} value=${query.device ?? ''} onChange=${(device) => setQuery({ device })} options=${[['', t.all], ...devices]} />
      <${Check} label=${t.live.onlyBad} checked=${bad} onChange=${(on) => setQuery({ bad: on ? 1 : null })} />
    </div>
    ${table}
    ${open && html`<${TagSheet} key=${open.key} tag=${open} onClose=${() => setQuery({ tag: null })} />`}`;
}
