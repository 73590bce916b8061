// What an outage would come to: in words, as a plot, as a table.

import { html, useEffect, useState } from '../vendor/preact.js';
import { call, get, post } from '../lib/api.js';
import { bytes, duration, number, percent } from '../lib/format.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Act, Button, Select, Trouble } from '../parts/controls.js';
import { State } from '../parts/icon.js';
import { Plot } from '../parts/plot.js';
import { ByClass } from './uplinks.js';

const EVERY_MS = 500;
const LENGTHS_H = [1 / 6, 1, 8, 24, 72, 168, 720];

export default function Rehearse() {
  const [length, setLength] = useState('3600');
  const [now, setNow] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(null);
  const look = () => get('/rehearsal').then(({ last }) => setNow(last), setError);
  useEffect(() => { look(); }, []);
  const running = now && !now.done;
  useEffect(() => {
    const timer = setInterval(() => { if (running) look(); }, EVERY_MS);
    return () => clearInterval(timer);
  }, [running]);
  const start = (event) => {
    event.preventDefault();
    setError(null);
    if (!running) return post('/rehearsal', { outage_s: Number(length) }).then(setNow, setError);
  };
  const stop = async () => { await call('DELETE', '/rehearsal'); await look(); };
  return html`<div class="title"><h1>${t.nav.rehearse}</h1></div><p class="lead">${t.rehearse.lead}</p>
    ${may('operator') && html`<form class="panel" onSubmit=${start}><div class="bar">
      <${Select} label=${t.rehearse.length} value=${length} onChange=${setLength} options=${LENGTHS_H.map((h) => [String(h * 3600), duration(h * 3_600_000)])} />
      <${Button} type="submit" kind="primary" busy=${running}>${t.rehearse.start}<//></div></form>`}
    <${Trouble} error=${error} onClose=${() => setError(null)} />
    ${running && html`<section class="panel" role="status"><header><h2>${t.rehearse.after(duration(now.outage_ms))} …</h2>${percent(now.share)} ${may('operator') && html`<${Act} run=${stop}>${t.scan.stop}<//>`}</header></section>`}
    ${(now?.end === 'stopped' || now?.end === 'failed') && html`<div class="note warn" role="status"><p><strong>${t.scan.ends[now.end]}</strong> ${now.reason}</p></div>`}
    ${now?.answer && html`<${Answer} answer=${now.answer} />`}`;
}

const waiting = (sample) => Math.max(0, ...Object.values(sample.uplinks).map((account) => account.waiting));
const lost = (uplink) => Object.values(uplink.classes).reduce((all, of) => all + of.dropped, uplink.drain.dropped ?? 0);

function Answer({ answer }) {
  const { store, uplinks, samples } = answer;
  const droppers = uplinks.filter(lost);
  return html`<section class="panel" role="status"><header><h2>${t.rehearse.after(duration(answer.outage_ms))}</h2></header>
      <p><strong>${t.rehearse.waits(number(store.readings), bytes(store.bytes))}</strong></p>
        ${!droppers.length && html`<p><${State} kind="good">${t.rehearse.kept}<//></p>`}
        ${droppers.map((uplink) => html`<p><${State} kind=${uplink.required ? 'bad' : 'warn'}>${t.rehearse.drops(uplink.name, number(lost(uplink)), duration(uplink.first_drop_ms ?? answer.outage_ms))}<//></p>`)}
        ${uplinks.map(({ name, drain }) => html`<p><${State} kind=${KINDS[drain.state]}>${t.rehearse[drain.state](name, duration(drain.ms))}<//></p>`)}
      <${Plot} key=${answer.outage_ms} title=${t.data.waiting} at=${samples.map((sample) => sample.at_ms / 1000)} values=${samples.map(waiting)} when=${(s) => duration(s * 1000)} says=${`≤ ${number(Math.max(...samples.map(waiting)))}`} />
    </section>
    ${uplinks.map((uplink) => html`<${Uplink} key=${uplink.name} uplink=${uplink} />`)}
    <${Store} answer=${answer} />`;
}

const KINDS = { drained: 'good', 'falls-behind': 'bad', unknown: 'warn' };

function Uplink({ uplink: { name, classes, drain } }) {
  const why = [...new Set(Object.values(classes).flatMap((of) => Object.keys(of.dropped_why)))];
  return html`<section class="panel"><header><h2>${name}</h2></header>
    <${ByClass} classes=${Object.entries(classes).map(([word, of]) => ({ class: word, ...of }))} />
    ${why.length > 0 && html`<p>${t.data.droppedWhy} ${why.map((reason) => t.data.reasons[reason] ?? reason).join(', ')}</p>`}
    ${drain.ms != null && html`<dl class="facts spaced">
      <dt>${t.rehearse.drain}</dt><dd>${drain.computed ? '≈ ' : ''}${duration(drain.ms)} · ${bytes(drain.bytes)} · ${t.broker.messages}: ${number(drain.messages)} · ${t.rehearse.bounds[drain.bound.split('-')[0]]}</dd>
      ${drain.live_ms && html`<dt>${t.rehearse.live}</dt><dd>${t.rehearse.old(duration(drain.live_ms[0]), duration(drain.live_ms[1]))}</dd>`}
    </dl>`}</section>`;
}

function Store({ answer: { store, outage_ms, measured_ms } }) {
  return html`<section class="panel"><header><h2>${t.overview.store}</h2></header>
    <dl class="facts">
      <dt>${t.data.room}</dt><dd>${t.of(bytes(store.bytes), bytes(store.allowed_bytes))}${store.enough_ms != null ? ` · ${t.rehearse.enough(duration(store.enough_ms))}` : ''}</dd>
      ${store.path && html`<dt>${t.rehearse.written}</dt><dd>${bytes(store.written_bytes)}</dd>
        <dt>${t.data.card}</dt><dd>${store.card_years == null ? t.data.notYet : t.rehearse.years(number(store.card_years, store.card_years < 10 ? 1 : 0))}</dd>`}
      <dt>${t.rehearse.cut}</dt><dd>${store.power_cut_ms == null ? t.data.allLost : t.rehearse.costs(duration(store.power_cut_ms), number(store.power_cut_readings))}</dd>
    </dl>
    <p class="hint">${t.rehearse.assumed}${measured_ms < outage_ms ? ` ${t.rehearse.computed(duration(measured_ms))}` : ''}</p></section>`;
}
