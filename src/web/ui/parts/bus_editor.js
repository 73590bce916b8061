// Adding a bus, or changing its settings: a serial line by the name of its adapter, or an address.

import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { get } from '../lib/api.js';
import { BAUDS, formOf, hostAndPort, kindOf, linkOf, PARITIES } from '../lib/bus.js';
import { buses, devices, edit, needDraft } from '../lib/draft.js';
import { editsBetween, freeName, nameOk } from '../lib/mapping.js';
import { go } from '../lib/router.js';
import { t } from '../lib/text.js';
import { Button, Choice, Select, Text, Trouble } from './controls.js';
import { confirm, Sheet, toast } from './overlay.js';

const OTHER = '\u0000other';
const UNKNOWN = 'find';

const review = () => ({ label: t.first.review, run: () => go('/changes') });

/** `name` of a bus that is there, or none for a new one. */
export function BusEditor({ name: known, onClose }) {
  const before = known ? buses.peek()[known] : null;
  const start = useMemo(() => formOf(before), []);
  const [form, setForm] = useState(/** @type {any} */ (start ?? {}));
  const [name, setName] = useState(known ?? '');
  const [settings, setSettings] = useState('known');
  const [ports, setPorts] = useState(/** @type {any[] | null} */ (null));
  const [other, setOther] = useState(false);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(/** @type {any} */ ({}));
  const set = (key) => (value) => setForm((now) => ({ ...now, [key]: value }));

  useEffect(() => {
    needDraft().catch(setError);
    get('/ports').then(({ rows }) => {
      setPorts(rows);
      // The first free adapter; where none is plugged in, the network: the ports on the board of a
      // computer are there whether anything is connected or not. What was chosen meanwhile stays.
      const free = rows.filter((row) => row.there && row.product && !row.used_by && !row.held_by);
      if (!known) setForm((now) => (now.port || now.host ? now : free.length ? { ...now, port: free[0].path } : { ...now, kind: 'tcp' }));
    }, (failed) => { setPorts([]); setError(failed); });
  }, []);
  if (known && !start) {
    return html`<${Sheet} title=${known} onClose=${onClose}><p>${t.buses.byText(kindOf(before))}</p><a class="button" href="/config">${t.nav.config}</a><//>`;
  }
  const isLine = form.kind === 'serial';
  const suggested = freeName(isLine ? 'rs485' : 'net', buses.value);
  const chosen = name.trim() || suggested;
  const section = () => { const { word, link } = linkOf(form, before?.[kindOf(before)]); return { word, link }; };

  const check = () => {
    const problems = {
      ...(nameOk(chosen) ? {} : { name: t.editor.badName }),
      ...(chosen !== known && buses.peek()[chosen] ? { name: t.buses.taken } : {}),
      ...(isLine && !form.port.trim() ? { port: t.buses.needPort } : {}),
      ...(!isLine && !hostAndPort(form.host) ? { host: t.buses.needHost } : {}),
    };
    setWrong(problems);
    return Object.keys(problems).length === 0;
  };
  const save = async (then) => {
    if (!check()) return;
    setBusy(true);
    setError(null);
    try {
      await needDraft();
      const { word, link } = section();
      if (!known) await edit([{ op: 'set', path: ['buses', chosen], value: { [word]: link } }]);
      else {
        const was = kindOf(before);
        const changed = was === word ? editsBetween(['buses', known, word], before[was], link)
          : [{ op: 'remove', path: ['buses', known, was] }, { op: 'set', path: ['buses', known, word], value: link }];
        // Devices name their bus, so they follow.
        const renamed = chosen === known ? [] : [{ op: 'rename', path: ['buses', known], to: chosen },
          ...Object.entries(devices.peek()).filter(([, device]) => device?.bus === known).map(([device]) => ({ op: 'set', path: ['devices', device, 'bus'], value: chosen }))];
        if (changed.length + renamed.length) await edit([...changed, ...renamed]);
      }
      then();
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const add = () => save(() => { toast(t.buses.inDraft(chosen), { action: review() }); onClose(); });
  const addAndScan = () => save(() => go(`/scan?bus=${encodeURIComponent(chosen)}&start=1`, { replace: true }));
  const find = () => {
    if (form.port.trim()) go(`/scan?port=${encodeURIComponent(form.port.trim())}&start=1`, { replace: true });
    else setWrong({ port: t.buses.needPort });
  };
  const remove = async () => {
    const own = Object.entries(devices.peek()).filter(([, device]) => device?.bus === known).map(([device]) => device);
    if (!(await confirm({ title: t.editor.removeTitle(known), text: own.length ? t.buses.removeDevices(own.length) : t.editor.removeText, yes: t.remove, danger: true }))) return;
    try {
      await edit([...own.map((device) => ({ op: /** @type {'remove'} */ ('remove'), path: ['devices', device] })), { op: 'remove', path: ['buses', known] }]);
      toast(t.editor.removed(known), { action: review() });
      onClose();
    } catch (failed) { setError(failed); }
  };
  const unknown = isLine && settings === UNKNOWN && !known;
  const submit = (event) => { event.preventDefault(); if (unknown) find(); else if (known) add(); else addAndScan(); };
  return html`<${Sheet} title=${known ?? t.first.addBus} onClose=${onClose}
    footer=${html`${known && html`<${Button} kind="danger first" onClick=${remove}>${t.remove}<//>`}<${Button} onClick=${onClose}>${t.cancel}<//>
      ${known ? html`<${Button} kind="primary" busy=${busy} onClick=${add}>${t.editor.save}<//>`
        : unknown ? html`<${Button} kind="primary" icon="scan" onClick=${find}>${t.buses.findSettings}<//>`
        : html`<${Button} busy=${busy} onClick=${add}>${t.buses.addOnly}<//><${Button} kind="primary" icon="scan" busy=${busy} onClick=${addAndScan}>${t.buses.addAndScan}<//>`}`}>
    <form onSubmit=${submit}>
      ${!known && html`<${Choice} label=${t.buses.where} value=${form.kind} onChange=${set('kind')} options=${[['serial', t.buses.line], ['tcp', t.buses.network]]} />`}
      ${isLine ? html`<${PortField} ports=${ports} value=${form.port} other=${other} onOther=${setOther} onChange=${set('port')} error=${wrong.port} own=${known} />
        ${!known && html`<${Choice} label=${t.buses.settings} value=${settings} onChange=${setSettings} options=${[['known', t.buses.settingsKnown], [UNKNOWN, t.buses.settingsUnknown]]} />`}
        ${unknown ? html`<p class="hint">${t.buses.settingsHint}</p>` : html`<div class="fields">
          <${Select} label=${t.buses.baud} value=${form.baud} onChange=${set('baud')} options=${BAUDS.map(String).includes(form.baud) ? BAUDS : [form.baud, ...BAUDS]} />
          <${Select} label=${t.buses.parity} value=${form.parity} onChange=${set('parity')} options=${PARITIES.map((p) => [p, t.buses.parities[p]])} />
          <${Select} label=${t.buses.stop} value=${form.stop} onChange=${set('stop')} options=${['1', '2']} />
          <${Select} label=${t.buses.framing} value=${form.framing} onChange=${set('framing')} options=${[['rtu', 'RTU'], ['ascii', 'ASCII']]} /></div>`}`
        : html`<${Text} label=${t.buses.host} value=${form.host ?? ''} onInput=${set('host')} error=${wrong.host} hint=${t.buses.hostHint} placeholder="192.168.1.40" autofocus inputmode="url" />
        <${Select} label=${t.buses.converter} value=${form.converter} onChange=${set('converter')} options=${['tcp', 'rtu', 'ascii'].map((word) => [word, t.buses.converters[word]])} />`}
      <${Text} label=${t.buses.name} value=${name} onInput=${setName} error=${wrong.name} placeholder=${suggested} hint=${t.buses.nameHint} />
      <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button>
    </form>
    <${Trouble} error=${error} onClose=${() => setError(null)} /><//>`;
}

/** Serial ports as people know them: what is printed on the adapter, not `/dev/ttyUSB0`. */
function PortField({ ports, value, other, onOther, onChange, error, own }) {
  if (other || (ports && ports.length === 0)) {
    return html`<${Text} label=${t.buses.port} value=${value} onInput=${onChange} error=${error} placeholder="/dev/ttyUSB0" hint=${ports?.length === 0 ? t.buses.noPorts : t.buses.otherHint} class="mono" />`;
  }
  const words = (row) => `${row.product ?? row.device}${row.product ? ` (${row.device.replace('/dev/', '')})` : ''}${row.used_by && row.used_by !== own ? ` · ${t.buses.usedBy(row.used_by)}` : row.held_by ? ` · ${t.buses.usedBy(row.held_by)}` : row.there ? '' : ` · ${t.buses.notThere}`}`;
  const rows = (ports ?? []).map((row) => [row.path, words(row)]);
  if (value && !rows.some(([path]) => path === value)) rows.unshift([value, value]);
  return html`<${Select} label=${t.buses.port} value=${value} error=${error} onChange=${(path) => { if (path === OTHER) { onOther(true); onChange(''); } else onChange(path); }}
    hint=${value} options=${[...(value ? [] : [['', ports ? t.buses.choose : t.loading]]), ...rows, [OTHER, t.buses.otherPort]]} />`;
}
