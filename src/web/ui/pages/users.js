// Who may do what: people of this page, tokens of programs, and users of the MQTT broker with their rights.

import { html, useEffect, useState } from '../vendor/preact.js';
import { call, get, post, seg } from '../lib/api.js';
import { edit, needDraft, tree } from '../lib/draft.js';
import { date, number, typed } from '../lib/format.js';
import { go } from '../lib/router.js';
import { may, session } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Act, Button, Frame, Password, Select, Text, Trouble } from '../parts/controls.js';
import { confirm, Sheet, toast } from '../parts/overlay.js';
import { Tabs } from '../parts/tabs.js';

const ROLES = ['viewer', 'operator', 'admin'];
const roles = () => ROLES.map((role) => [role, t.roles[role]]);

export default function Users({ query }) {
  const tabs = [...(may('admin') ? [['people', t.users.people], ['tokens', t.users.tokens]] : []), ...(may('operator') ? [['broker', t.users.broker]] : [])];
  if (tabs.length === 0) return html`<div class="title"><h1>${t.nav.users}</h1></div><div class="panel empty-state"><p>${t.users.needAdmin}</p></div>`;
  const tab = tabs.some(([key]) => key === query.tab) ? query.tab : tabs[0][0];
  return html`<div class="title"><h1>${t.nav.users}</h1></div>
    <${Tabs} label=${t.nav.users} tabs=${tabs} value=${tab} />
    ${tab === 'people' ? html`<${People} />` : tab === 'tokens' ? html`<${Tokens} />` : html`<${BrokerUsers} />`}`;
}

/** Rows of a path, and loading them again. */
function useRows(path) {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [error, setError] = useState(null);
  const load = () => get(path).then((page) => { setRows(page.rows); setError(null); }, setError);
  useEffect(() => { load(); }, [path]);
  return [rows, error, load];
}

function People() {
  const [rows, error, load] = useRows('/users');
  const [open, setOpen] = useState(/** @type {any} */ (null));
  const remove = async (row) => {
    if (!(await confirm({ title: t.editor.removeTitle(row.name), text: t.users.removeText, yes: t.remove, danger: true }))) return;
    await call('DELETE', `/users/${seg(row.name)}`);
    await load();
  };
  return html`
    <p class="row-of tools"><${Button} icon="add" onClick=${() => setOpen({})}>${t.users.add}<//></p>
    <${Trouble} error=${error} onRetry=${load} />
    ${rows && html`<${Frame} label=${t.nav.users}><table class="plain rows"><thead><tr><th scope="col">${t.user}</th><th scope="col">${t.users.role}</th><th scope="col" class="wide-only">${t.users.created}</th><th scope="col">${t.users.seen}</th><th scope="col"><span class="visually-hidden">${t.details}</span></th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.name}><th scope="row">${row.name}${row.name === session.value.user ? html` <span class="quiet">${t.users.you}</span>` : ''}</th><td>${t.roles[row.role] ?? row.role}</td><td class="wide-only nowrap">${date(row.created_wall_ms)}</td><td class="nowrap">${row.last_seen_wall_ms == null ? t.users.never : date(row.last_seen_wall_ms)}</td>
        <td><span class="row-of end"><button type="button" class="button bare" aria-label=${`${t.tag.edit}: ${row.name}`} onClick=${() => setOpen(row)}>${t.tag.edit}</button><${Act} kind="bare" run=${() => remove(row)} aria-label=${`${t.remove}: ${row.name}`}>${t.remove}<//></span></td></tr>`)}</tbody></table><//>`}
    <p class="hint spaced">${t.users.rolesHint}</p>
    ${open && html`<${Person} row=${open} onClose=${(done) => { setOpen(null); if (done) load(); }} />`}`;
}

function Person({ row, onClose }) {
  const [name, setName] = useState(row.name ?? '');
  const [role, setRole] = useState(row.role ?? 'viewer');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const save = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    try {
      if (!row.name) await post('/users', { name: name.trim(), role, password });
      else await call('PATCH', `/users/${seg(row.name)}`, { body: { ...(role === row.role ? {} : { role }), ...(password ? { password } : {}) } });
      toast(row.name ? t.users.changed(row.name) : t.users.added(name.trim()));
      onClose(true);
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const at = (field) => (error?.field === field ? error.message : undefined);
  return html`<${Sheet} title=${row.name ?? t.users.add} onClose=${() => onClose(false)}
    footer=${html`<${Button} onClick=${() => onClose(false)}>${t.cancel}<//><${Button} kind="primary" busy=${busy} onClick=${save}>${row.name ? t.editor.save : t.users.add}<//>`}>
    <form onSubmit=${save}>
      ${!row.name && html`<${Text} label=${t.user} value=${name} onInput=${setName} error=${at('name')} autofocus autocapitalize="none" required />`}
      <${Select} label=${t.users.role} value=${role} onChange=${setRole} options=${roles()} hint=${t.users.roleHints[role]} />
      <${Password} label=${row.name ? t.head.newPassword : t.password} value=${password} onInput=${setPassword} autocomplete="new-password" error=${at('password')} hint=${row.name ? t.users.passwordKept : t.passwordHint} required=${!row.name} />
      <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button></form>
    <${Trouble} error=${error?.field ? null : error} onClose=${() => setError(null)} /><//>`;
}

const DAYS = ['30', '90', '365', ''];

function Tokens() {
  const [rows, error, load] = useRows('/tokens');
  const [open, setOpen] = useState(false);
  const remove = async (row) => {
    if (!(await confirm({ title: t.editor.removeTitle(row.name), text: t.users.tokenRemoveText, yes: t.remove, danger: true }))) return;
    await call('DELETE', `/tokens/${seg(row.id)}`);
    await load();
  };
  return html`
    <p class="row-of tools"><${Button} icon="add" onClick=${() => setOpen(true)}>${t.users.newToken}<//></p>
    <${Trouble} error=${error} onRetry=${load} />
    ${rows && (rows.length === 0 ? html`<div class="panel empty-state"><p>${t.users.noToken}</p></div>` : html`<${Frame} label=${t.nav.users}><table class="plain rows"><thead><tr><th scope="col">${t.users.tokenName}</th><th scope="col">${t.users.role}</th><th scope="col">${t.users.expires}</th><th scope="col">${t.users.used}</th><th scope="col"><span class="visually-hidden">${t.details}</span></th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.id}><th scope="row">${row.name}</th><td>${t.roles[row.role] ?? row.role}</td><td class="nowrap">${row.expires_wall_ms == null ? t.users.noEnd : date(row.expires_wall_ms)}</td><td class="nowrap">${row.last_used_wall_ms == null ? t.users.never : date(row.last_used_wall_ms)}</td>
        <td><span class="row-of end"><${Act} kind="bare" run=${() => remove(row)} aria-label=${`${t.remove}: ${row.name}`}>${t.remove}<//></span></td></tr>`)}</tbody></table><//>`)}
    <p class="hint spaced">${t.users.tokenHint} <code>Authorization: Bearer …</code></p>
    ${open && html`<${NewToken} onClose=${() => { setOpen(false); load(); }} />`}`;
}

function NewToken({ onClose }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState('viewer');
  const [days, setDays] = useState('365');
  const [token, setToken] = useState('');
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const make = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    try { setToken((await post('/tokens', { name: name.trim(), role, ...(days ? { days: Number(days) } : {}) })).token); } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<${Sheet} title=${t.users.newToken} onClose=${onClose}
    footer=${token ? html`<${Button} kind="primary" onClick=${onClose}>${t.close}<//>` : html`<${Button} onClick=${onClose}>${t.cancel}<//><${Button} kind="primary" busy=${busy} onClick=${make}>${t.users.makeToken}<//>`}>
    ${token ? html`<p class="note warn"><strong>${t.users.once}</strong></p><pre class="code wrap" tabindex="0">${token}</pre>
      <p class="row-of spaced"><${Act} run=${async () => { await navigator.clipboard.writeText(token); toast(t.users.copied); }}>${t.users.copy}<//></p>`
      : html`<form onSubmit=${make}><${Text} label=${t.users.tokenName} value=${name} onInput=${setName} placeholder="scada" hint=${t.users.tokenNameHint} autofocus required />
        <${Select} label=${t.users.role} value=${role} onChange=${setRole} options=${roles()} hint=${t.users.roleHints[role]} />
        <${Select} label=${t.users.expires} value=${days} onChange=${setDays} options=${DAYS.map((count) => [count, count ? t.users.days(number(Number(count))) : t.users.noEnd])} /><button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button></form>`}
    <${Trouble} error=${error} onClose=${() => setError(null)} /><//>`;
}

/** Users and roles of the broker stand in the configuration, so they go through the draft. */
function BrokerUsers() {
  const [error, setError] = useState(null);
  const [open, setOpen] = useState(/** @type {any} */ (null));
  useEffect(() => { needDraft().catch(setError); }, []);
  const broker = tree.value?.broker;
  const users = Object.entries(broker?.users ?? {});
  const rolesOf = Object.entries(broker?.roles ?? {});
  if (error) return html`<${Trouble} error=${error} />`;
  if (!tree.value) return html`<p class="quiet" role="status">${t.loading}</p>`;
  const list = (value) => (value === undefined ? '–' : [value].flat().join(', ') || '–');
  const table = (kind, rows, empty) => (rows.length === 0 ? html`<p class="quiet">${empty}</p>` : html`<${Frame} label=${kind === 'users' ? t.users.brokerUsers : t.users.brokerRoleList}><table class="plain rows"><thead><tr><th scope="col">${t.users.name}</th>${kind === 'users' && html`<th scope="col">${t.users.brokerRoles}</th>`}<th scope="col">${t.users.publish}</th><th scope="col">${t.users.subscribe}</th><th scope="col"><span class="visually-hidden">${t.details}</span></th></tr></thead>
    <tbody>${rows.map(([name, section]) => html`<tr key=${name}><th scope="row">${name}</th>${kind === 'users' && html`<td>${list(section?.roles)}</td>`}<td class="mono wrap">${list(section?.publish)}</td><td class="mono wrap">${list(section?.subscribe)}</td>
      <td><span class="row-of end"><button type="button" class="button bare" aria-label=${`${t.tag.edit}: ${name}`} onClick=${() => setOpen({ kind, name, section })}>${t.tag.edit}</button></span></td></tr>`)}</tbody></table><//>`);
  return html`
    ${users.length === 0 && html`<p class="note info">${t.users.brokerOpen}</p>`}
    <section class="panel"><header><h2>${t.users.brokerUsers}</h2><${Button} icon="add" onClick=${() => setOpen({ kind: 'users', name: '', section: {} })}>${t.users.add}<//></header>${table('users', users, t.users.noBrokerUser)}</section>
    <section class="panel"><header><h2>${t.users.brokerRoleList}</h2><${Button} icon="add" onClick=${() => setOpen({ kind: 'roles', name: '', section: {} })}>${t.users.addRole}<//></header>${table('roles', rolesOf, t.users.noBrokerRole)}<p class="hint spaced">${t.users.builtIn}</p></section>
    ${open && html`<${Rights} key=${open.kind + open.name} ...${open} known=${['read', 'write', 'admin', ...rolesOf.map(([name]) => name)]} onClose=${() => setOpen(null)} />`}`;
}

const lines = (value) => [value ?? []].flat().join('\n');
const listOf = (text) => text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);

/** One user or role of the broker: its password (never shown), and the topics it may use. */
function Rights({ kind, name: known, section, known: brokerRoles, onClose }) {
  const [name, setName] = useState(known);
  const [password, setPassword] = useState('');
  const [own, setOwn] = useState(lines(section?.roles).replace(/\n/g, ', '));
  const [publish, setPublish] = useState(lines(section?.publish));
  const [subscribe, setSubscribe] = useState(lines(section?.subscribe));
  const [qos, setQos] = useState(section?.['qos-max'] === undefined ? '' : String(section['qos-max']));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState('');
  const isUser = kind === 'users';
  const path = ['broker', kind, name.trim()];
  const review = { label: t.first.review, run: () => go('/changes') };
  const save = async (event) => {
    event?.preventDefault();
    if (!name.trim()) { setWrong(t.editor.needName); return; }
    setBusy(true);
    setError(null);
    try {
      const hash = isUser && password ? (await post('/broker/password', { password })).hash : null;
      const keys = { ...(isUser ? { roles: listOf(own) } : {}), publish: listOf(publish), subscribe: listOf(subscribe) };
      const after = { ...(hash ? { password: hash } : {}), ...Object.fromEntries(Object.entries(keys).filter(([, value]) => value.length)), ...(qos === '' ? {} : { 'qos-max': typed(qos) ?? qos }) };
      if (!known) await edit([{ op: 'set', path, value: after }]);
      else {
        // Key by key: what this form does not know of it stays, the password too unless there is a new one.
        const edits = [...Object.entries(after).filter(([key, value]) => JSON.stringify(section?.[key]) !== JSON.stringify(value)).map(([key, value]) => ({ op: 'set', path: ['broker', kind, known, key], value })),
          ...[...(isUser ? ['roles'] : []), 'publish', 'subscribe', 'qos-max'].filter((key) => section?.[key] !== undefined && after[key] === undefined).map((key) => ({ op: 'remove', path: ['broker', kind, known, key] }))];
        await edit(/** @type {any} */ (edits));
      }
      toast(known ? t.editor.changed(name) : t.editor.added(name), { action: review });
      onClose();
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const remove = async () => {
    if (!(await confirm({ title: t.editor.removeTitle(known), text: t.editor.removeText, yes: t.remove, danger: true }))) return;
    try { await edit([{ op: 'remove', path: ['broker', kind, known] }]); toast(t.editor.removed(known), { action: review }); onClose(); } catch (failed) { setError(failed); }
  };
  const area = (label, value, set, hint) => html`<${Area} label=${label} value=${value} onInput=${set} hint=${hint} />`;
  return html`<${Sheet} title=${known || (isUser ? t.users.add : t.users.addRole)} onClose=${onClose}
    footer=${html`${known && html`<${Button} kind="danger first" onClick=${remove}>${t.remove}<//>`}<${Button} onClick=${onClose}>${t.cancel}<//><${Button} kind="primary" busy=${busy} onClick=${save}>${known ? t.editor.save : t.editor.add}<//>`}>
    <form onSubmit=${save}>
      ${!known && html`<${Text} label=${t.users.name} value=${name} onInput=${(v) => { setWrong(''); setName(v); }} error=${wrong} autofocus autocapitalize="none" />`}
      ${isUser && html`<${Password} label=${known ? t.head.newPassword : t.password} value=${password} onInput=${setPassword} autocomplete="new-password" hint=${known ? t.users.passwordKept : t.users.brokerPassword} />
        <${Text} label=${t.users.brokerRoles} value=${own} onInput=${setOwn} list="broker-roles" placeholder="read" hint=${t.users.builtIn} /><datalist id="broker-roles">${brokerRoles.map((role) => html`<option value=${role}></option>`)}</datalist>`}
      ${area(t.users.publish, publish, setPublish, t.users.filtersHint)}${area(t.users.subscribe, subscribe, setSubscribe, t.users.filtersHint)}
      <${Select} label=${t.users.qos} value=${qos} onChange=${setQos} options=${[['', t.buses.usual('2')], '0', '1', '2']} />
      <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button></form>
    <${Trouble} error=${error} onClose=${() => setError(null)} /><//>`;
}

function Area({ label, value, onInput, hint }) {
  return html`<div class="field"><label>${label}<textarea class="text small" rows="3" value=${value} onInput=${(e) => onInput(e.target.value)} spellcheck=${false}></textarea></label><p class="hint">${hint}</p></div>`;
}
