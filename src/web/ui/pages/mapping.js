// The mapping of the draft: every tag from its register to its topic, with what it says now. Edited
// one by one, many at once, or as CSV.

import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { pages } from '../lib/api.js';
import { draft, needDraft } from '../lib/draft.js';
import { number } from '../lib/format.js';
import { tagOf, tags } from '../lib/live.js';
import { setQuery, setQuerySoon } from '../lib/router.js';
import { language, t } from '../lib/text.js';
import { Bulk } from '../parts/bulk.js';
import { Button, Check, Filter, Select, Trouble } from '../parts/controls.js';
import { Import } from '../parts/import.js';
import { State } from '../parts/icon.js';
import { Table } from '../parts/table.js';
import { useLater } from '../parts/use_later.js';
import { TagEditor } from '../parts/tag_editor.js';
import { Quality, quality, Value } from '../parts/values.js';

const keyOf = (row) => `${row.device}/${row.tag}`;

/** What a tag of the draft says now, if it runs already. */
function Now({ row, of: Of }) {
  const tag = tagOf(keyOf(row));
  return tag ? html`<${Of} tag=${tag} />` : '';
}

const columns = (picked, pick) => [
  { key: 'pick', head: html`<span class="visually-hidden">${t.mapping.pickHead}</span>`, width: '28px', class: 'pick', narrow: 'pick', cell: (row) => html`<label class="pick"><input type="checkbox" aria-label=${t.mapping.pick(keyOf(row))} checked=${picked.has(keyOf(row))} onChange=${(e) => pick(row, e.target.checked)} /></label>` },
  { key: 'tag', head: t.mapping.tag, width: 'minmax(0,2fr)', narrow: 'title', cell: (row) => html`<span class="clip" title=${keyOf(row)}><span class="quiet">${row.device} / </span><strong>${row.tag}</strong></span>` },
  { key: 'register', head: t.registers.register, width: 'minmax(96px,.6fr)', narrow: 'sub', cell: (row) => html`<span class="mono">${row.table} ${row.address}</span>` },
  { key: 'type', head: t.editor.type, width: 'minmax(76px,.5fr)', cell: (row) => html`<span class="mono">${row.type}${row.order && row.order !== 'ABCD' ? ` ${row.order}` : ''}</span>` },
  { key: 'scale', head: t.editor.scale, width: '52px', class: 'number', cell: (row) => row.scale ?? '' },
  { key: 'topic', head: t.editor.topic, width: 'minmax(0,1.3fr)', cell: (row) => html`<span class="clip mono" title=${row.topic}>${ends(row.topic)}</span>` },
  { key: 'now', head: t.live.value, width: 'minmax(112px,.9fr)', class: 'number', narrow: 'value', cell: (row) => html`<${Now} row=${row} of=${Value} />` },
  { key: 'quality', head: t.live.quality, width: 'minmax(0,1.2fr)', narrow: 'state', cell: (row) => (row.problems?.length ? html`<span class="clip" title=${row.problems.map((p) => p.message).join('; ')}><${State} kind="bad">${t.mapping.problem}<//> <small>${row.problems[0].message}</small></span>` : html`<span class="clip"><${Now} row=${row} of=${Quality} /> <small class="wide-only"><${Now} row=${row} of=${Cause} /></small></span>`) },
];

/** The last two levels, by which topics differ; the dots mark what is left off. */
function ends(topic) {
  const levels = String(topic ?? '').split('/');
  return levels.length > 2 ? `…/${levels.slice(-2).join('/')}` : topic;
}

const Cause = ({ tag }) => quality(tag.now.value.q).cause;

const hasProblem = (row) => row.problems?.length > 0 || ['bad', 'warn'].includes(quality(tagOf(keyOf(row))?.now.peek().q).kind);

export default function Mapping({ query }) {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [error, setError] = useState(null);
  const [typed, setTyped] = useState(query.q ?? '');
  const [picked, setPicked] = useState(() => new Set());
  const [bulk, setBulk] = useState(false);
  const [importing, setImporting] = useState(false);
  const etag = draft.value?.etag;
  void tags.value;
  const load = () => Promise.all([pages('/mapping'), needDraft()]).then(([all]) => {
    setRows(all.rows.map((row) => ({ ...row, search: `${row.device} ${row.tag} ${row.table} ${row.address} ${row.type} ${row.unit} ${row.topic}`.toLowerCase() })));
    setError(null);
  }, setError);
  useEffect(() => { load(); }, [etag]);
  const all = rows ?? [];
  const devices = useMemo(() => [...new Set(all.map((row) => row.device))].sort(), [rows]);
  const problems = query.problems === '1';
  const sought = useLater(typed);
  const shown = useMemo(() => {
    const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
    return all.filter((row) => words.every((word) => row.search.includes(word)) && (!query.device || row.device === query.device) && (!problems || hasProblem(row)));
  }, [rows, sought, query.device, problems]);
  const pick = (row, on) => setPicked((before) => {
    const next = new Set(before);
    if (on) next.add(keyOf(row)); else next.delete(keyOf(row));
    return next;
  });
  const chosen = all.filter((row) => picked.has(keyOf(row)));
  const allPicked = shown.length > 0 && shown.every((row) => picked.has(keyOf(row)));
  const cells = useMemo(() => columns(picked, pick), [picked, language.value]);
  const open = query.tag && rows ? all.find((row) => keyOf(row) === query.tag) : null;
  const empty = !rows && !error ? t.loading : all.length ? t.live.noneFits : t.mapping.none;
  const table = useMemo(() => html`<${Table} label=${t.nav.mapping} columns=${cells} rows=${shown} keyOf=${keyOf} onOpen=${(row) => setQuery({ tag: keyOf(row) })}
    rowClass=${(row) => `${picked.has(keyOf(row)) ? 'picked' : ''} ${row.problems?.length ? 'wrong' : ''}`} empty=${empty} />`, [cells, shown, picked, empty, tags.value]);
  return html`
    <div class="title"><h1>${t.nav.mapping}</h1>
      <a class="button" href="/registers">${t.mapping.add}</a>
      <${Button} onClick=${() => setImporting(true)}>${t.mapping.import}<//>
      <a class="button" href="/api/v1/mapping.csv" download>${t.mapping.export}</a></div>
    <div class="bar tools">
      <${Filter} value=${typed} onInput=${(text) => { setTyped(text); setQuerySoon({ q: text }); }} />
      <${Select} label=${t.live.device} value=${query.device ?? ''} onChange=${(device) => setQuery({ device })} options=${[['', t.all], ...devices]} />
      <${Check} label=${t.mapping.problemsOnly} checked=${problems} onChange=${(on) => setQuery({ problems: on ? 1 : null })} />
    </div>
    <div class="row-of picked-line"><${Check} label=${t.mapping.pickAll(number(shown.length))} checked=${allPicked} disabled=${shown.length === 0} onChange=${(on) => setPicked(on ? new Set(shown.map(keyOf)) : new Set())} />
      ${chosen.length > 0 && html`<${Button} icon="edit" onClick=${() => setBulk(true)}>${t.mapping.bulk(number(chosen.length))}<//>`}
      <span class="quiet count" role="status">${rows && (shown.length === all.length ? t.live.count(number(all.length)) : t.live.shown(number(shown.length), number(all.length)))}</span></div>
    <${Trouble} error=${error} onRetry=${load} />
    ${table}
    ${open && draft.value && html`<${TagEditor} key=${query.tag} source=${{ device: open.device, name: open.tag, bus: open.bus, unit: open.unit_id, row: open }} onClose=${() => setQuery({ tag: null })} />`}
    ${bulk && html`<${Bulk} rows=${chosen} onClose=${(done) => { setBulk(false); if (done) setPicked(new Set()); }} />`}
    ${importing && html`<${Import} onClose=${() => setImporting(false)} />`}`;
}
