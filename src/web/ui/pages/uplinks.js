// Where is my data? What was read, delivered, waits and was dropped, by uplink, as an equation that
// always holds; and the store that keeps what waits.

import { html, useEffect, useState } from '../vendor/preact.js';
import { get, post, query as toQuery, seg } from '../lib/api.js';
import { ago, bytes, date, duration, number, percent } from '../lib/format.js';
import { clock, status } from '../lib/live.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Act, Button, Frame, Trouble } from '../parts/controls.js';
import { wallNow } from '../parts/head.js';
import { State } from '../parts/icon.js';
import { Plot } from '../parts/plot.js';
import { storeState, uplinkState } from '../parts/states.js';
import { UplinkForm } from '../parts/uplink_form.js';
import { useStatus } from '../parts/use_status.js';

export default function Uplinks() {
  const [full, error] = useStatus(2_000);
  const [editing, setEditing] = useState(/** @type {string | null} */ (null));
  if (!full) return error ? html`<${Trouble} error=${error} />` : html`<p class="quiet" role="status">${t.loading}</p>`;
  const uplinks = Object.values(full.uplinks);
  return html`<div class="title"><h1>${t.overview.where}</h1>${uplinks.length > 0 && html`<a class="button" href="/rehearse">${t.nav.rehearse}</a>`}${may('operator') && html`<${Button} icon="add" onClick=${() => setEditing('')}>${t.uplinkForm.title}<//>`}</div>
    ${uplinks.length === 0 && html`<div class="panel empty-state"><h2>${t.head.noUplink}</h2><p>${t.data.noUplink}</p></div>`}
    ${uplinks.map((uplink) => html`<${Uplink} key=${uplink.name} uplink=${uplink} store=${full.store} onEdit=${() => setEditing(uplink.name)} />`)}
    <${Store} store=${full.store} />
    ${editing !== null && html`<${UplinkForm} name=${editing} onClose=${() => setEditing(null)} />`}`;
}

/** The sums over the classes of one consumer. */
function sums(store, name) {
  const classes = store.consumers.find((one) => one.name === name)?.classes ?? [];
  const sum = (key) => classes.reduce((all, of) => all + of[key], 0);
  const oldest = Math.max(-1, ...classes.map((of) => of.oldest_ms ?? -1));
  const why = {};
  for (const of of classes) for (const [reason, count] of Object.entries(of.dropped_why ?? {})) why[reason] = (why[reason] ?? 0) + count;
  return { read: sum('appended'), delivered: sum('delivered'), waiting: sum('waiting'), dropped: sum('dropped'), excluded: sum('excluded'), oldest: oldest < 0 ? null : oldest, why, classes };
}

function Uplink({ uplink, store, onEdit }) {
  const { kind, word } = uplinkState(uplink);
  const account = sums(store, uplink.name);
  const now = wallNow(clock.value);
  return html`<section class="panel"><header><h2>${uplink.name}</h2><span class="quiet mono">${uplink.peer}</span>
      <${State} kind=${kind}>${word}${uplink.since ? ` · ${duration(Math.max(0, now - uplink.since))}` : ''}<//></header>
    ${uplink.state === 'offline' && html`<div class="note bad"><p><strong>${t.uplinkCauses[uplink.cause] ?? uplink.reason}</strong></p><p>${uplink.reason}</p>
      ${uplink.advice && html`<p><strong>${t.nextStep}</strong> ${uplink.advice}</p>`}<p>${t.data.nextTry(duration(uplink.next_try_ms))}</p></div>`}
    <${Equation} account=${account} />
    <dl class="facts">
      <dt>${t.data.oldest}</dt><dd>${account.waiting ? duration(account.oldest) : '–'}</dd>
      ${uplink.state === 'online' && html`<dt>${t.data.rate}</dt><dd>${t.data.perSecond(number(uplink.acked_rows_per_s, 1), number(uplink.appended_rows_per_s, 1))}${uplink.eta_s && account.waiting > 100 ? ` · ${t.data.drained(duration(uplink.eta_s * 1000))}` : ''}</dd>`}
      <dt>${t.data.lastAck}</dt><dd>${uplink.last_ack_age_ms == null ? '–' : ago(uplink.last_ack_age_ms)}</dd>
      ${uplink.certificates.map((c) => html`<dt>${t.data.certificate(c.what)}</dt><dd class=${c.ends_ms - now < 14 * 86_400_000 ? 'state bad' : ''}>${t.data.validUntil(date(c.ends_ms))}</dd>`)}
      ${Object.keys(account.why).length > 0 && html`<dt>${t.data.droppedWhy}</dt><dd>${Object.entries(account.why).map(([why, count]) => `${t.data.reasons[why] ?? why}: ${number(count)}`).join(', ')}</dd>`}
      ${uplink.refused_topics > 0 && html`<dt>${t.data.refused}</dt><dd>${uplink.refused.map((r) => `${r.topic}: ${r.reason}`).join('; ')}${uplink.refused_topics > uplink.refused.length ? ` ${t.moreLeft(uplink.refused_topics - uplink.refused.length)}` : ''}</dd>`}
    </dl>
    <details><summary>${t.data.byClass}</summary><${ByClass} classes=${account.classes} /></details>
    <${History} name=${uplink.name} />
    ${may('operator') && html`<${Tools} name=${uplink.name} offline=${uplink.state === 'offline'} onEdit=${onEdit} />`}
  </section>`;
}

/** The accounts, class by class. */
export const ByClass = ({ classes }) => html`<${Frame} label=${t.data.byClass}><table class="plain"><thead><tr><th scope="col">${t.editor.class}</th>${['read', 'delivered', 'waiting', 'excluded', 'dropped'].map((key) => html`<th scope="col" class="number">${t.data[key]}</th>`)}</tr></thead>
      <tbody>${classes.map((of) => html`<tr><th scope="row">${of.class}</th>${['appended', 'delivered', 'waiting', 'excluded', 'dropped'].map((key) => html`<td class="number">${number(of[key])}</td>`)}</tr>`)}</tbody></table><//>`;

/** read = delivered + waiting + dropped (+ left out on purpose), always. */
function Equation({ account }) {
  const terms = [['delivered', account.delivered, 'good'], ['waiting', account.waiting, account.waiting > 100 ? 'warn' : ''], ['dropped', account.dropped, account.dropped ? 'bad' : '']];
  if (account.excluded) terms.push(['excluded', account.excluded, '']);
  return html`<div class="equation" role="group" aria-label=${t.data.equation}>
    <div><strong>${number(account.read)}</strong><span>${t.data.read}</span></div>
    ${terms.map(([key, count, kind], i) => html`<span class="sign-of" key=${`s${key}`}>${i ? '+' : '='}</span><div key=${key} class=${kind} data-sign=${i ? '+' : '='}><strong>${number(count)}</strong><span>${t.data[key]}</span></div>`)}
  </div>`;
}

const HISTORY_MS = 60_000;

/** Twenty-four hours of what waited, and how fast it went. */
function History({ name }) {
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(null);
  useEffect(() => {
    const load = () => { if (!document.hidden) get(`/uplinks/${seg(name)}/history`).then(setSaid, setError); };
    load();
    const timer = setInterval(load, HISTORY_MS);
    return () => clearInterval(timer);
  }, [name]);
  if (error) return html`<${Trouble} error=${error} onClose=${() => setError(null)} />`;
  if (!said || said.points.length < 2) return html`<p class="hint">${t.data.historySoon}</p>`;
  const at = said.points.map((p) => p.at_wall_ms / 1000);
  const rate = said.points.map((p, i) => (i ? Math.max(0, p.delivered - said.points[i - 1].delivered) / (said.every_ms / 1000) : null));
  return html`<div class="plots"><${Plot} title=${t.data.depth} at=${at} values=${said.points.map((p) => p.waiting)} />
    <${Plot} title=${t.data.drain} at=${at} values=${rate} /></div>`;
}

function Tools({ name, offline, onEdit }) {
  const [steps, setSteps] = useState(/** @type {any[] | null} */ (null));
  return html`<div class="row-of tools-line">
      ${offline && html`<${Act} kind="primary" run=${() => post(`/uplinks/${seg(name)}/retry`)}>${t.data.tryNow}<//>`}
      <${Act} run=${async () => setSteps((await post(`/uplinks/${seg(name)}/test`, undefined, { timeout: 90_000 })).steps)}>${t.data.test}<//>
      <${Button} icon="edit" onClick=${onEdit}>${t.tag.edit}<//></div>
    ${steps && html`<ol class="trial" role="status">${steps.map((s) => html`<li><${State} kind=${s.ok ? 'good' : 'bad'}>${t.data.steps[s.step] ?? s.step}<//> <span>${s.said}</span> <small>${duration(s.ms)}</small>
      ${!s.ok && s.advice && html`<p><strong>${t.nextStep}</strong> ${s.advice}</p>`}</li>`)}</ol>`}`;
}

function Store({ store }) {
  const { kind, word } = storeState(store);
  const share = store.disk_bytes_allowed ? store.disk_bytes / store.disk_bytes_allowed : 0;
  const fullIn = status.value?.store?.full_in_s;
  return html`<section class="panel"><header><h2>${t.overview.store}</h2><${State} kind=${kind}>${word}<//></header>
    ${store.why && html`<p class="note bad">${store.why}</p>`}
    <div class=${`meter ${share > 0.9 ? 'bad' : share > 0.7 ? 'warn' : ''}`} role="img" aria-label=${percent(share, 1)}><div style=${`width:${Math.max(0.4, share * 100)}%`}></div></div>
    <dl class="facts spaced">
      <dt>${t.data.room}</dt><dd>${t.of(bytes(store.disk_bytes), bytes(store.disk_bytes_allowed))}${fullIn != null ? ` · ${t.fullIn(duration(fullIn * 1000))}` : ''}</dd>
      <dt>${t.data.file}</dt><dd class="mono">${store.file ?? '–'}</dd>
      <dt>${t.data.powerCut}</dt><dd>${store.loss_bound_ms == null ? t.data.allLost : t.data.atMost(duration(store.loss_bound_ms))}</dd>
      <dt>${t.data.lastWrite}</dt><dd>${store.last_commit_ms ? ago(Math.max(0, wallNow() - store.last_commit_ms)) : '–'}</dd>
      <dt>${t.data.card}</dt><dd>${store.wear.card_years == null ? t.data.notYet : t.data.years(number(store.wear.card_years, store.wear.card_years < 10 ? 1 : 0))}</dd>
      ${store.last_error && html`<dt>${t.data.lastError}</dt><dd>${store.last_error}</dd>`}
    </dl>
    ${store.violations.length > 0 && html`<div class="note bad"><p><strong>${t.data.violated}</strong></p>${store.violations.map((v) => html`<p>${v}</p>`)}</div>`}
    ${store.quarantined.length > 0 && html`<div class="note warn"><p><strong>${t.data.setAside(store.quarantined.length)}</strong></p>${store.quarantined.slice(0, 5).map((q) => html`<p>${q.file}: ${q.why} · ${t.data.salvaged(number(q.salvaged), number(q.lost))}</p>`)}${store.quarantined.length > 5 && html`<p>${t.moreLeft(store.quarantined.length - 5)}</p>`}</div>`}
    <${Drops} />
  </section>`;
}

/** The ledger: every loss, when, whose, how many and why. */
function Drops() {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [next, setNext] = useState(null);
  const [error, setError] = useState(null);
  const load = async (after) => {
    try {
      const page = await get(`/store/drops${toQuery({ after, limit: 100 })}`);
      setRows((before) => [...(after ? before : []), ...page.rows]);
      setNext(page.next);
    } catch (failed) { setError(failed); }
  };
  return html`<details onToggle=${(e) => { if (e.target.open && !rows) load(null); }}><summary>${t.data.ledger}</summary>
    <${Trouble} error=${error} onClose=${() => setError(null)} />
    ${rows && (rows.length === 0 ? html`<p class="quiet">${t.data.noDrops}</p>` : html`<${Frame} label=${t.data.dropped}><table class="plain"><tbody>${rows.map((row) => html`<tr><td class="nowrap">${row.wall_from_ms ? date(row.wall_from_ms) : '–'}</td><td>${row.consumer}</td><td>${row.class}</td><td class="number">${number(row.n)}</td><td>${t.data.reasons[row.reason.replace(/_/g, '-')] ?? row.words}</td></tr>`)}</tbody></table><//>`)}
    ${next && html`<${Button} onClick=${() => load(next)}>${t.more}<//>`}</details>`;
}
