// Looking for devices: on a bus, at addresses, or on a serial port whose settings nobody knows.

import { html, useEffect, useState } from '../vendor/preact.js';
import { Problem } from '../lib/api.js';
import { linkOf, settingsOf } from '../lib/bus.js';
import { busNames, buses, busTarget, deviceAt, devices, edit, needDraft } from '../lib/draft.js';
import { duration, number, percent } from '../lib/format.js';
import { freeName } from '../lib/mapping.js';
import { go, setQuery } from '../lib/router.js';
import { joinScan, scan, startScan, stopScan } from '../lib/scanning.js';
import { t } from '../lib/text.js';
import { Act, Button, Choice, Select, Text, Trouble } from '../parts/controls.js';
import { DeviceEditor } from '../parts/device_editor.js';
import { State } from '../parts/icon.js';

export default function Scan({ query }) {
  const names = busNames.value;
  const [way, setWay] = useState(query.port ? 'port' : names.length || query.bus ? 'bus' : 'hosts');
  const [bus, setBus] = useState(query.bus ?? '');
  const [port, setPort] = useState(query.port ?? '');
  const [hosts, setHosts] = useState('');
  const [units, setUnits] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [profiled, setProfiled] = useState(/** @type {any} */ (null));
  const chosen = bus || names[0] || '';

  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      await needDraft();
      const target = way === 'bus' ? { bus: chosen } : way === 'port' ? { port } : { hosts };
      const ask = way === 'bus' ? busTarget(chosen) : way === 'port' ? { port: port.trim() } : { hosts: hosts.split(/[\s,;]+/).filter(Boolean) };
      await startScan({ ...ask, ...(units.trim() ? { units: units.trim() } : {}) }, target);
    } catch (failed) {
      if (failed instanceof Problem && failed.code === 'busy' && failed.said.id !== undefined) joinScan(failed.said.id);
      setError(failed);
    } finally { setBusy(false); }
  };
  // Who comes from adding a bus has said where to look.
  useEffect(() => {
    needDraft().catch(setError);
    if (query.start) { setQuery({ start: null }); start(); }
  }, []);
  const now = scan.value;
  const running = now && !now.done;
  const submit = (event) => { event.preventDefault(); if (!running) start(); };
  return html`
    <div class="title"><h1>${t.nav.scan}</h1></div><p class="lead">${t.scan.lead}</p>
    <form class="panel" onSubmit=${submit}>
      <${Choice} label=${t.scan.where} value=${way} onChange=${setWay} options=${[['bus', t.registers.bus], ['port', t.scan.port], ['hosts', t.scan.hosts]]} />
      <div class="bar">
        ${way === 'bus' && html`<${Select} label=${t.registers.bus} value=${chosen} onChange=${setBus} options=${names.length ? names : [['', t.head.noBus]]} />`}
        ${way === 'port' && html`<${Text} label=${t.buses.port} value=${port} onInput=${setPort} placeholder="/dev/ttyUSB0" hint=${t.buses.settingsHint} class="mono" wide />`}
        ${way === 'hosts' && html`<${Text} label=${t.scan.hosts} value=${hosts} onInput=${setHosts} placeholder="192.168.1.40, 192.168.1.41:1502" wide />`}
        <${Text} label=${t.scan.units} value=${units} onInput=${setUnits} placeholder=${t.scan.allUnits} error=${error?.field === 'units' ? error.message : undefined} />
        <${Button} type="submit" kind="primary" icon="scan" busy=${busy || running} disabled=${way === 'bus' && !chosen}>${t.scan.start}<//>
      </div>
    </form>
    <${Trouble} error=${error?.field === 'units' ? null : error} onClose=${() => setError(null)} />
    ${now && html`<${Progress} now=${now} />`}
    ${now && html`<${Results} now=${now} onProfile=${setProfiled} />`}
    ${profiled && html`<${DeviceEditor} ...${profiled} onClose=${() => setProfiled(null)} />`}`;
}

function Progress({ now }) {
  const share = now.of ? now.asked / now.of : 0;
  return html`<section class="panel" aria-live="polite">
    <header><h2>${now.done ? t.scan.ends[now.end] ?? t.scan.ends.done : t.scan.going}</h2>
      ${!now.done && html`<span class="quiet">${now.place ?? ''}${now.unit !== undefined ? ` · ${t.tag.unitId(now.unit)}` : ''}</span><${Act} run=${stopScan}>${t.scan.stop}<//>`}</header>
    <div class="meter" role="img" aria-label=${percent(share)}><div style=${`width:${Math.max(0.4, share * 100)}%`}></div></div>
    <p class="hint">${t.scan.asked(number(now.asked), number(now.of))}${!now.done && now.eta_ms ? ` · ${t.scan.left(duration(now.eta_ms))}` : ''}</p>
    ${now.reason && html`<p class="note bad">${now.reason}</p>`}
    ${now.unreachable.length > 0 && html`<div class="note warn"><p><strong>${t.scan.unreachable}</strong></p>${now.unreachable.slice(0, 8).map((one) => html`<p>${one.link}: ${one.reason}</p>`)}${now.unreachable.length > 8 && html`<p>${t.moreLeft(now.unreachable.length - 8)}</p>`}</div>`}
    ${now.trouble && html`<${Trouble} error=${now.trouble} />`}
  </section>`;
}

/** The bus where it was found: that of the request, or one of the draft with these settings. */
function busOf(found, target) {
  if (!target) return null;
  if (target.bus) return target.bus;
  const settings = target.port ? settingsOf(found.link) : null;
  const here = Object.entries(buses.value).find(([, bus]) => {
    if (target.port) return bus?.['modbus-rtu']?.port === target.port && String(bus['modbus-rtu'].baud) === settings?.baud;
    return bus?.['modbus-tcp']?.host !== undefined && found.link.includes(`${bus['modbus-tcp'].host}:${bus['modbus-tcp'].port ?? 502}`);
  });
  return here?.[0] ?? null;
}

/** Adds the bus where something was found, unless it is there; resolves to its name. */
async function needBus(found, target) {
  const known = busOf(found, target);
  if (known) return known;
  const settings = target?.port ? settingsOf(found.link) : null;
  const host = /([^\s]+:\d+)/.exec(found.link)?.[1] ?? '';
  const form = settings ? { kind: 'serial', framing: 'rtu', port: target.port, ...settings } : { kind: 'tcp', host, converter: 'tcp' };
  const { word, link } = linkOf(form);
  const name = freeName(settings ? 'rs485' : 'net', buses.peek());
  await edit([{ op: 'set', path: ['buses', name], value: { [word]: link } }]);
  return name;
}

function Results({ now, onProfile }) {
  void devices.value;
  if (now.found.length === 0) {
    return now.done && now.end !== 'failed' ? html`<div class="panel empty-state"><h2>${t.scan.none}</h2><p>${t.scan.noneText}</p></div>` : null;
  }
  return html`<section class="panel"><header><h2>${t.scan.found(now.found.length)}</h2></header>
    <ul class="found">${now.found.map((found) => html`<${FoundDevice} key=${`${found.link} ${found.unit}`} found=${found} target=${now.target} onProfile=${onProfile} />`)}</ul>
    ${now.yaml && html`<details><summary>${t.scan.asYaml}</summary><pre class="code" tabindex="0">${now.yaml}</pre></details>`}
  </section>`;
}

function FoundDevice({ found, target, onProfile }) {
  const who = (found.identity ?? []).map((object) => object.text).filter(Boolean).join(' · ');
  const bus = busOf(found, target);
  const known = bus ? deviceAt(bus, found.unit) : null;
  const open = async () => { const name = await needBus(found, target); go(`/registers?bus=${encodeURIComponent(name)}&unit=${found.unit}`); };
  const profile = async () => onProfile({ bus: await needBus(found, target), unit: found.unit });
  return html`<li><div class="found-words"><strong>${found.any_unit ? t.scan.anyUnit : t.tag.unitId(found.unit)}</strong> ${who}
      ${known && html`<${State} kind="good">${known}<//>`}
      <br /><small>${found.link} · ${duration(found.took_ms)}${found.exception != null ? ` · ${t.exception(found.exception).cause}` : ''}${found.any_unit ? ` · ${t.scan.anyUnitText}` : ''}</small></div>
    <span class="row-of"><${Act} kind="primary" run=${open} aria-label=${`${t.tag.registers}: ${t.tag.unitId(found.unit)}`}>${t.tag.registers}<//>
      ${!known && html`<${Act} run=${profile} aria-label=${`${t.scan.addDevice}: ${t.tag.unitId(found.unit)}`}>${t.scan.addDevice}<//>`}</span></li>`;
}
