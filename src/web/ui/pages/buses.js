// Buses and their devices: what runs, how well, and what the draft adds. Changes go into the draft.

import { html, useEffect, useState } from '../vendor/preact.js';
import { buses as drafted, devices as draftedDevices, needDraft } from '../lib/draft.js';
import { duration, number, percent } from '../lib/format.js';
import { go, setQuery } from '../lib/router.js';
import { may } from '../lib/session.js';
import { kindOf } from '../lib/bus.js';
import { t } from '../lib/text.js';
import { BusEditor } from '../parts/bus_editor.js';
import { Button, Frame, Trouble } from '../parts/controls.js';
import { DeviceEditor } from '../parts/device_editor.js';
import { State } from '../parts/icon.js';
import { busState, deviceState } from '../parts/states.js';
import { useStatus } from '../parts/use_status.js';

const seg = encodeURIComponent;

export default function Buses({ rest, query }) {
  const [full, error] = useStatus(2_000);
  const [draftError, setDraftError] = useState(null);
  const edits = may('operator');
  useEffect(() => { if (edits) needDraft().catch(setDraftError); }, []);
  if (!full) return error ? html`<${Trouble} error=${error} />` : html`<p class="quiet" role="status">${t.loading}</p>`;
  const one = rest[0];
  const names = [...new Set([...Object.keys(full.buses), ...Object.keys(edits ? drafted.value : {})])];
  const shown = one ? names.filter((name) => name === one) : names;
  const close = () => setQuery({ new: null, edit: null, device: null, add: null });
  return html`
    <div class="title"><h1>${t.nav.buses}</h1>${one && html`<a class="button" href="/buses">${t.buses.allBuses}</a>`}
      ${edits && html`<${Button} icon="add" kind=${names.length ? '' : 'primary'} onClick=${() => setQuery({ new: 1 })}>${t.first.addBus}<//>`}</div>
    <${Trouble} error=${draftError} onClose=${() => setDraftError(null)} />
    ${names.length === 0 && html`<div class="panel empty-state"><h2>${t.head.noBus}</h2><p>${t.first.busText}</p></div>`}
    ${one && shown.length === 0 && html`<div class="panel empty-state"><p>${t.notFound}: ${one}</p></div>`}
    ${shown.map((name) => html`<${Bus} key=${name} name=${name} bus=${full.buses[name]} draft=${drafted.value[name]} edits=${edits} now=${full.gateway.mono_ms} />`)}
    ${edits && query.new && html`<${BusEditor} key="new" onClose=${close} />`}
    ${edits && query.edit && drafted.value[query.edit] && html`<${BusEditor} key=${query.edit} name=${query.edit} onClose=${close} />`}
    ${edits && query.device && draftedDevices.value[query.device] && html`<${DeviceEditor} key=${query.device} name=${query.device} onClose=${close} />`}
    ${edits && query.add && html`<${DeviceEditor} key="add" bus=${query.add} onClose=${close} />`}`;
}

/** `bus` as it runs, `draft` as it is drafted; one of them may be missing. */
function Bus({ name, bus, draft, edits, now }) {
  const own = Object.entries(draftedDevices.value).filter(([, device]) => device?.bus === name);
  const running = bus?.devices ?? [];
  const fresh = edits ? own.filter(([device]) => !running.some((known) => known.name === device)) : [];
  const { kind, word } = bus ? busState(bus) : { kind: 'off', word: t.buses.onlyDraft };
  const gone = bus && edits && Object.keys(drafted.value).length > 0 && !draft;
  const errors = bus && running.reduce((sum, device) => sum + device.timeouts + device.bad_answers, 0);
  const odd = bus && Object.entries(bus.line ?? {}).filter(([, count]) => count > 0);
  return html`<section class="panel"><header><h2>${name}</h2><span class="quiet">${bus?.link ?? kindOf(draft)}</span>
      <${State} kind=${kind}>${word}${bus?.state?.since != null ? ` · ${duration(Math.max(0, now - bus.state.since))}` : ''}<//></header>
    ${bus?.state?.reason && html`<p class="note bad">${bus.state.reason}</p>`}
    ${gone && html`<p class="note warn">${t.buses.removedInDraft}</p>`}
    ${bus && html`<dl class="facts inline">
      <div><dt>${t.buses.busy}</dt><dd>${percent(bus.utilisation)}</dd></div>
      <div><dt>${t.buses.requests}</dt><dd>${number(bus.requests)}</dd></div>
      <div><dt>${t.buses.errors}</dt><dd>${errors ? html`<${State} kind="bad">${number(errors)}<//>` : 0}</dd></div>
      <div><dt>${t.buses.connects}</dt><dd>${number(bus.connects)}</dd></div></dl>`}
    ${odd && odd.length > 0 && html`<p class="hint">${t.buses.onTheLine} ${odd.map(([what, count]) => `${t.buses.line_counts[what] ?? what}: ${number(count)}`).join(', ')}</p>`}
    ${(bus?.remarks ?? []).map((remark) => html`<p class="note warn">${typeof remark === 'string' ? remark : remark.text ?? JSON.stringify(remark)}</p>`)}
    ${running.length + fresh.length === 0 ? html`<p class="quiet">${t.buses.noDevice}</p>` : html`<${Frame} label=${name}><table class="plain devices">
      <thead><tr><th scope="col">${t.live.device}</th><th scope="col" class="number">${t.registers.unit}</th><th scope="col">${t.buses.state}</th><th scope="col" class="number wide-only">${t.buses.latency}</th><th scope="col" class="number wide-only">${t.buses.errors}</th><th scope="col" class="number wide-only">${t.buses.values}</th><th scope="col"><span class="visually-hidden">${t.details}</span></th></tr></thead>
      <tbody>${running.map((device) => html`<${Device} key=${device.name} device=${device} bus=${name} edits=${edits} drafted=${draftedDevices.value[device.name]} />`)}
        ${fresh.map(([device, section]) => html`<tr key=${device}><th scope="row">${device}</th><td class="number">${section.unit ?? 1}</td><td><${State} kind="off">${t.buses.onlyDraft}<//></td><td class="wide-only"></td><td class="wide-only"></td><td class="number wide-only">${section.profile ?? Object.keys(section.tags ?? {}).length}</td>
          <td><span class="row-of end"><${RowTools} device=${device} bus=${name} unit=${section.unit ?? 1} edits=${edits} drafted=${section} /></span></td></tr>`)}</tbody></table><//>`}
    ${edits && html`<div class="row-of spaced">
      <a class="button" href=${`/scan?bus=${seg(name)}`}>${t.nav.scan}</a>
      <a class="button" href=${`/registers?bus=${seg(name)}`}>${t.nav.registers}</a>
      ${bus && html`<a class="button" href=${`/trace?bus=${seg(name)}`}>${t.nav.trace}</a>`}
      ${draft && html`<${Button} icon="add" onClick=${() => setQuery({ add: name })}>${t.buses.addDevice}<//>
        <${Button} icon="edit" onClick=${() => setQuery({ edit: name })}>${t.buses.settings}<//>`}</div>`}
  </section>`;
}

function Device({ device, bus, edits, drafted: section }) {
  const { kind, word } = deviceState(device);
  const wrong = device.timeouts + device.bad_answers + device.exceptions;
  const ms = (us) => (us ? number(us / 1000, us < 10_000 ? 1 : 0) : '–');
  return html`<tr><th scope="row"><a href=${`/live?device=${seg(device.name)}`}>${device.name}</a></th><td class="number">${device.unit}</td>
    <td><${State} kind=${kind}>${word}<//>${device.state.reason && html`<br /><small>${device.state.reason}</small>`}${device.suppressed > 0 && html`<br /><small>${t.buses.suppressed(number(device.suppressed))}</small>`}</td>
    <td class="number nowrap wide-only">${t.buses.latencyOf(ms(device.latency_p50_us), ms(device.latency_p99_us))}</td>
    <td class="number wide-only" title=${t.buses.errorsOf(number(device.timeouts), number(device.bad_answers), number(device.exceptions))}>${number(wrong)}<span class="quiet"> / ${number(device.requests)}</span></td>
    <td class="number wide-only">${number(device.readings)}</td>
    <td><span class="row-of end"><${RowTools} device=${device.name} bus=${bus} unit=${device.unit} edits=${edits} drafted=${section} /></span></td></tr>`;
}

function RowTools({ device, bus, unit, edits, drafted: section }) {
  if (!edits) return null;
  return html`<a class="button bare" href=${`/registers?bus=${seg(bus)}&unit=${unit}`} aria-label=${`${t.tag.registers}: ${device}`}>${t.tag.registers}</a>
    ${section && html`<button type="button" class="button bare" aria-label=${`${t.tag.edit}: ${device}`} onClick=${() => go(`/buses?device=${seg(device)}`)}>${t.tag.edit}</button>`}`;
}
