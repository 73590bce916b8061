// Profiles: types of devices whose registers the gateway knows.

import { html, useEffect, useState } from '../vendor/preact.js';
import { get, seg } from '../lib/api.js';
import { number } from '../lib/format.js';
import { go, setQuery } from '../lib/router.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Button, Filter, Frame, Trouble } from '../parts/controls.js';
import { DeviceEditor } from '../parts/device_editor.js';
import { Sheet } from '../parts/overlay.js';
import { Table } from '../parts/table.js';
import { TABLES } from '../lib/address.js';

const columns = () => [
  { key: 'model', head: t.profiles.model, width: 'minmax(0,2fr)', narrow: 'title', cell: (row) => html`<span class="clip"><strong>${row.title ?? row.model}</strong></span>` },
  { key: 'vendor', head: t.profiles.vendor, width: 'minmax(0,1fr)', narrow: 'sub', cell: (row) => row.vendor },
  { key: 'kind', head: t.profiles.kind, width: '120px', narrow: 'state', cell: (row) => t.profiles.kinds[row.kind] ?? row.kind ?? '' },
  { key: 'tags', head: t.profiles.values, class: 'number', width: '80px', narrow: 'value', cell: (row) => number(row.tags) },
  { key: 'name', head: t.profiles.name, width: 'minmax(0,1fr)', cell: (row) => html`<code class="clip">${row.name}</code>` },
];

const searchable = (row) => `${row.name} ${row.title ?? ''} ${row.vendor} ${[row.model, row.models].flat().filter(Boolean).join(' ')} ${row.kind ?? ''}`.toLowerCase();

export default function Profiles({ rest, query }) {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [error, setError] = useState(null);
  const [typed, setTyped] = useState(query.q ?? '');
  const [used, setUsed] = useState(/** @type {string | null} */ (null));
  const load = () => get('/profiles').then((page) => { setRows(page.rows.map((row) => ({ ...row, search: searchable(row) }))); setError(null); }, setError);
  useEffect(() => { load(); }, []);
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (rows ?? []).filter((row) => words.every((word) => row.search.includes(word)));
  const back = () => go(`/profiles${typed ? `?q=${seg(typed)}` : ''}`);
  return html`
    <div class="title"><h1>${t.nav.profiles}</h1><span class="quiet" role="status">${rows ? t.profiles.count(number(shown.length)) : ''}</span></div>
    <div class="bar tools"><${Filter} value=${typed} onInput=${(text) => { setTyped(text); setQuery({ q: text }); }} label=${t.profiles.search} /></div>
    <${Trouble} error=${error} onRetry=${load} />
    <${Table} label=${t.nav.profiles} columns=${columns()} rows=${shown} keyOf=${(row) => row.name} onOpen=${(row) => go(`/profiles/${seg(row.name)}${typed ? `?q=${seg(typed)}` : ''}`)} empty=${rows ? t.profiles.none : t.loading} />
    ${rest[0] && !used && html`<${Profile} key=${rest[0]} name=${rest[0]} onClose=${back} onUse=${() => setUsed(rest[0])} />`}
    ${used && html`<${DeviceEditor} profile=${used} called=${used.split('-').at(-1)} onClose=${() => { setUsed(null); back(); }} />`}`;
}

const tableOf = (tag) => Object.keys(TABLES).find((table) => tag?.[table] !== undefined) ?? '';

function Profile({ name, onClose, onUse }) {
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(null);
  useEffect(() => { get(`/profiles/${seg(name)}`).then(setSaid, setError); }, []);
  const profile = said?.profile && typeof said.profile === 'object' ? said.profile : said;
  const groups = Object.entries(profile?.groups ?? {});
  return html`<${Sheet} wide title=${profile?.title ?? name} onClose=${onClose}
    footer=${html`<${Button} onClick=${onClose}>${t.close}<//>${may('operator') && html`<${Button} kind="primary" icon="add" onClick=${onUse}>${t.profiles.use}<//>`}`}>
    <${Trouble} error=${error} />
    ${!said && !error && html`<p class="quiet" role="status">${t.loading}</p>`}
    ${profile && html`<dl class="facts">
        <dt>${t.profiles.vendor}</dt><dd>${profile.vendor}</dd>
        <dt>${t.profiles.models}</dt><dd>${[profile.models ?? profile.model ?? '–'].flat().join(', ')}</dd>
        ${profile.serial && html`<dt>${t.profiles.factory}</dt><dd class="mono">${Object.entries(profile.serial).map(([key, value]) => `${key} ${value}`).join(', ')}</dd>`}
        ${profile.source && html`<dt>${t.profiles.source}</dt><dd>${[profile.source].flat().map((one) => html`<div>${one}</div>`)}</dd>`}</dl>
      ${profile.notes && html`<p class="note info spaced">${profile.notes}</p>`}
      ${groups.map(([group, section]) => html`<details key=${group} open=${section.default !== false}><summary>${group} · ${section.about ?? ''} · ${t.live.count(number(Object.keys(section.tags ?? {}).length))}${section.default === false ? ` · ${t.profiles.optional}` : ''}</summary>
        <${Frame} label=${group}><table class="plain"><thead><tr><th scope="col">${t.changes.tag}</th><th scope="col">${t.editor.from}</th><th scope="col">${t.editor.type}</th><th scope="col">${t.editor.scale}</th><th scope="col">${t.editor.unit}</th></tr></thead>
        <tbody>${Object.entries(section.tags ?? {}).map(([tag, of]) => html`<tr key=${tag}><th scope="row">${tag}</th><td class="nowrap">${t.tables[tableOf(of)] ?? ''} ${String(of?.[tableOf(of)] ?? '')}</td><td class="mono">${of?.type ?? 'bool'}</td><td>${of?.scale ?? ''}</td><td>${of?.unit ?? ''}</td></tr>`)}</tbody></table><//></details>`)}
      ${said.text && html`<details><summary>${t.profiles.asText}</summary><pre class="code" tabindex="0">${said.text}</pre></details>`}`}<//>`;
}
