// The gateway itself: versions, times and room, its parts, the log, who did what, and the certificate.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { call, get, query as toQuery } from '../lib/api.js';
import { bytes, date, duration, number, percent, time } from '../lib/format.js';
import { setQuery } from '../lib/router.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Button, Filter, Frame, Select, Trouble } from '../parts/controls.js';
import { State } from '../parts/icon.js';
import { toast } from '../parts/overlay.js';
import { Tabs } from '../parts/tabs.js';
import { useStatus } from '../parts/use_status.js';

export default function System({ query }) {
  const admin = may('admin');
  const tabs = [['facts', t.system.facts], ['log', t.system.log], ...(admin ? [['audit', t.system.audit], ['certificate', t.system.certificate]] : [])];
  const tab = tabs.some(([key]) => key === query.tab) ? query.tab : 'facts';
  return html`<div class="title"><h1>${t.nav.system}</h1>${admin && html`<a class="button" href="/api/v1/diagnostics" download>${t.system.diagnostics}</a>`}</div>
    <${Tabs} label=${t.nav.system} tabs=${tabs} value=${tab} />
    ${tab === 'log' ? html`<${Log} query=${query} />` : tab === 'audit' ? html`<${Audit} />` : tab === 'certificate' ? html`<${Certificate} />` : html`<${Facts} admin=${admin} />`}`;
}

const UNIT = { running: 'good', starting: 'busy', waiting: 'warn', failed: 'bad', stopped: 'off' };

function Facts({ admin }) {
  const [full] = useStatus(5_000);
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(null);
  useEffect(() => {
    const load = () => { if (!document.hidden) get('/system').then((now) => { setSaid(now); setError(null); }, setError); };
    load();
    const timer = setInterval(load, 5_000);
    return () => clearInterval(timer);
  }, []);
  const units = Object.entries(full?.units ?? {});
  const share = said?.disk ? 1 - said.disk.free_bytes / said.disk.total_bytes : 0;
  return html`<${Trouble} error=${error} />
    <div class="columns">
      ${said && html`<section class="panel"><header><h2>${t.system.gateway}</h2></header><dl class="facts">
        <dt>${t.system.version}</dt><dd>${said.version} <span class="quiet">${said.built_for}</span></dd>
        <dt>${t.system.uptime}</dt><dd>${duration(said.uptime_ms)}</dd>
        <dt>${t.system.host}</dt><dd>${said.host ?? '–'} <span class="quiet">${said.kernel ?? ''}</span></dd>
        ${said.machine_uptime_ms != null && html`<dt>${t.system.machineUptime}</dt><dd>${duration(said.machine_uptime_ms)}</dd>`}
        <dt>${t.system.clock}</dt><dd><${State} kind=${said.clock.synced ? 'good' : 'warn'}>${said.clock.synced ? t.system.synced : t.head.clockUnsure}<//> ${date(said.clock.wall_ms)}${!said.clock.synced && html`<p class="hint">${t.system.clockHint}</p>`}</dd></dl></section>
      <section class="panel"><header><h2>${t.system.room}</h2></header><dl class="facts">
        <dt>${t.system.memory}</dt><dd>${bytes(said.memory.used_bytes)} <span class="quiet">${t.system.free(bytes(said.memory.available_bytes), bytes(said.memory.total_bytes))}</span></dd>
        ${said.disk && html`<dt>${t.system.disk}</dt><dd>${t.system.free(bytes(said.disk.free_bytes), bytes(said.disk.total_bytes))}<div class=${`meter ${share > 0.95 ? 'bad' : share > 0.85 ? 'warn' : ''}`} role="img" aria-label=${percent(share)}><div style=${`width:${Math.max(0.4, share * 100)}%`}></div></div></dd>`}
        ${said.state_dir && html`<dt>${t.system.state}</dt><dd class="mono">${said.state_dir}</dd>`}</dl>
        ${admin && html`<p class="hint spaced">${t.system.diagnosticsHint}</p>`}</section>`}
    </div>
    ${units.length > 0 && html`<section class="panel"><header><h2>${t.system.parts}</h2></header><${Frame} label=${t.system.parts}><table class="plain"><thead><tr><th scope="col">${t.system.part}</th><th scope="col">${t.buses.state}</th><th scope="col" class="number">${t.system.restarts}</th></tr></thead>
      <tbody>${units.map(([name, unit]) => html`<tr key=${name}><th scope="row">${name}</th><td><${State} kind=${UNIT[unit.state] ?? 'off'}>${t.system.units[unit.state] ?? unit.state}<//>${unit.reason && html`<br /><small>${unit.reason}</small>`}</td><td class="number">${number(unit.restarts)}</td></tr>`)}</tbody></table><//></section>`}`;
}

const LEVELS = { error: 'bad', warn: 'warn', info: 'info', debug: 'off', trace: 'off' };
const RANK = ['error', 'warn', 'info', 'debug', 'trace'];
const LINES = 2_000;
const SHOWN = 500;

function Log({ query }) {
  const [rows, setRows] = useState(/** @type {any[]} */ ([]));
  const [error, setError] = useState(null);
  const [typed, setTyped] = useState(query.q ?? '');
  const level = query.level ?? 'info';
  const next = useRef(0);
  useEffect(() => {
    const load = () => {
      if (document.hidden) return;
      get(`/logs?since=${next.current}`).then((page) => {
        next.current = page.next;
        if (page.rows.length) setRows((before) => [...before, ...page.rows].slice(-LINES));
        setError(null);
      }, setError);
    };
    load();
    const timer = setInterval(load, 2_000);
    return () => clearInterval(timer);
  }, []);
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const most = RANK.indexOf(level);
  const fitting = rows.filter((row) => RANK.indexOf(row.level) <= most && words.every((word) => `${row.target} ${row.text}`.toLowerCase().includes(word)));
  const shown = fitting.slice(-SHOWN).reverse();
  return html`<div class="bar tools"><${Filter} value=${typed} onInput=${(text) => { setTyped(text); setQuery({ q: text }); }} />
      <${Select} label=${t.system.level} value=${level} onChange=${(name) => setQuery({ level: name === 'info' ? null : name })} options=${RANK.map((name) => [name, t.system.levels[name]])} /></div>
    <${Trouble} error=${error} />
    ${shown.length === 0 ? html`<div class="panel empty-state"><p>${t.system.noLine}</p></div>` : html`<ol class="log" tabindex="0" aria-label=${t.system.log}>${shown.map((row) => html`<li key=${row.number}><time class="mono">${time(row.at_wall_ms)}</time><${State} kind=${LEVELS[row.level] ?? 'off'}>${t.system.levels[row.level] ?? row.level}<//><span><span class="quiet">${row.target}</span> ${row.text}</span></li>`)}</ol>
      ${fitting.length > SHOWN && html`<p class="quiet">${t.trace.older(number(fitting.length - SHOWN))}</p>`}`}`;
}

function Audit() {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [next, setNext] = useState(null);
  const [error, setError] = useState(null);
  const load = async (after) => {
    try {
      const page = await get(`/audit${toQuery({ after, limit: 100 })}`);
      setRows((before) => [...(after != null && before ? before : []), ...page.rows]);
      setNext(page.next);
      setError(null);
    } catch (failed) { setError(failed); }
  };
  useEffect(() => { load(null); }, []);
  return html`<${Trouble} error=${error} onRetry=${() => load(null)} />
    ${rows && (rows.length === 0 ? html`<div class="panel empty-state"><p>${t.system.noAudit}</p></div>` : html`<${Frame} label=${t.nav.system}><table class="plain rows"><thead><tr><th scope="col">${t.config.when}</th><th scope="col">${t.system.who}</th><th scope="col" class="wide-only">${t.broker.from}</th><th scope="col">${t.system.what}</th><th scope="col">${t.details}</th></tr></thead>
      <tbody>${rows.map((row, i) => html`<tr key=${row.n ?? i}><td class="nowrap">${date(row.at_wall_ms)}</td><th scope="row">${row.who}</th><td class="wide-only mono">${row.from ?? '–'}</td><td>${row.what}</td><td class="wrap">${row.detail}</td></tr>`)}</tbody></table><//>`)}
    ${next != null && html`<p class="row-of spaced"><${Button} onClick=${() => load(next)}>${t.broker.moreRows}<//></p>`}`;
}

function Certificate() {
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const [chain, setChain] = useState('');
  const [key, setKey] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const load = () => get('/system').then((now) => setSaid(now.certificate ?? null), setError);
  useEffect(() => { load(); }, []);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await call('POST', '/certificate', { body: { certificate: chain, key } });
      setKey('');
      toast(t.system.certificateKept);
      await load();
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<div class="columns">
    <section class="panel"><header><h2>${t.system.certificate}</h2></header>
      ${said && html`<dl class="facts">${Object.entries(said).filter(([, value]) => value != null && typeof value !== 'object').map(([name, value]) => html`<dt>${t.system.certificateFacts[name] ?? name}</dt><dd>${/_wall_ms$|_ms$/.test(name) ? date(value) : String(value)}</dd>`)}${said.names && html`<dt>${t.system.certificateFacts.names}</dt><dd>${said.names.join(', ')}</dd>`}</dl>`}
      <p class="spaced">${t.system.caText}</p><p class="row-of"><a class="button" href="/api/v1/certificate" download="fieldhold-ca.pem">${t.system.saveCa}</a></p></section>
    <form class="panel" onSubmit=${send}><header><h2>${t.system.ownCertificate}</h2></header><p class="hint">${t.system.ownText}</p>
      <div class="field"><label>${t.system.chain}<textarea class="text small" rows="5" value=${chain} onInput=${(e) => setChain(e.target.value)} placeholder="-----BEGIN CERTIFICATE-----" spellcheck=${false} required></textarea></label></div>
      <div class="field"><label>${t.system.key}<textarea class="text small" rows="5" value=${key} onInput=${(e) => setKey(e.target.value)} placeholder="-----BEGIN PRIVATE KEY-----" spellcheck=${false} autocomplete="off" required></textarea></label><p class="hint">${t.system.keyHint}</p></div>
      <${Trouble} error=${error} onClose=${() => setError(null)} />
      <${Button} type="submit" kind="primary" busy=${busy}>${t.system.useCertificate}<//></form></div>`;
}
