// The tag panel: one value between a register and its topic, with what will be published beside it.
// Opened from a register, a found value, or the mapping; what is typed here is never overwritten.

import { html, useMemo, useState } from '../vendor/preact.js';
import { post } from '../lib/api.js';
import { TABLES } from '../lib/address.js';
import { busTarget, deviceAt, devices, draft, edit } from '../lib/draft.js';
import { duration, reading, typed } from '../lib/format.js';
import { go } from '../lib/router.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { CLASSES, editsBetween, formOf, freeName, isNumber, nameOk, ORDERS, tagOf, TYPES, UNITS, wide } from '../lib/mapping.js';
import { Button, Choice, Select, Text, Trouble } from './controls.js';
import { State } from './icon.js';
import { Preview } from './preview.js';
import { confirm, Sheet, toast } from './overlay.js';

const NEW = '\u0000new';
const EVERY = ['100ms', '250ms', '500ms', '1s', '2s', '5s', '10s', '30s', '60s', '5min', '15min', '1h'];

/** How many registers a value takes, for "add and next". */
function registersOf(type) {
  const bits = Number(/^(?:u|i|f|bcd)(\d+)$/.exec(type)?.[1] ?? 16);
  return Math.ceil(bits / 16);
}

/** A tag that comes from a profile: as the mapping tells it. */
function fromRow(row) {
  const tag = { [row.table ?? 'holding']: row.address, type: row.type, scale: Number(row.scale ?? 1), offset: Number(row.offset ?? 0), order: row.order, unit: row.unit };
  return Object.fromEntries(Object.entries(tag).filter(([, value]) => value != null && value !== ''));
}

/** `source`: { bus, unit, table, address, type, order, scale } of a register, or { device, name, row } of a tag that is there. */
function first(source) {
  const known = source.device ?? deviceAt(source.bus, source.unit);
  const device = known ? devices.peek()[known] : null;
  if (source.name) {
    const own = device?.tags?.[source.name];
    const tag = device?.profile ? { ...fromRow(source.row), ...own } : own;
    return { device: known, form: formOf(source.name, tag ?? {}, device), isNew: false, profiled: !!device?.profile };
  }
  const counted = device?.addresses === 'from-1' ? 1 : 0;
  const form = { ...formOf('', {}, device), table: source.table, address: String(source.address + counted), type: source.type ?? 'bool', order: source.order ?? device?.order ?? 'ABCD' };
  if (source.scale !== undefined && source.scale !== null) form.scale = String(source.scale);
  return { device: known ?? NEW, form, isNew: true };
}

export function TagEditor({ source, onClose }) {
  const start = useMemo(() => first(source), [source]);
  const [form, setForm] = useState(start.form);
  const [device, setDevice] = useState(start.device);
  const [newName, setNewName] = useState(() => freeName(`unit${source.unit ?? 1}`, devices.peek()));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [wrong, setWrong] = useState('');
  const [kept, setKept] = useState('');
  const [valid, setValid] = useState(/** @type {any} */ (null));

  const isNewDevice = device === NEW;
  const deviceName = isNewDevice ? newName.trim() : device;
  const section = isNewDevice ? { bus: source.bus, unit: source.unit } : devices.value[device] ?? {};
  const own = start.isNew ? {} : devices.peek()[start.device]?.tags?.[source.name] ?? {};
  // What a profile says is not written again: only what differs from it is.
  const before = useMemo(() => (start.profiled ? tagOf(start.form, section, own) : own), [start]);
  const tag = tagOf(form, section, before);
  const set = (key) => (value) => setForm((now) => ({ ...now, [key]: value }));
  // A field of a sensor's frame has neither register nor type.
  const bits = form.field !== '' || TABLES[form.table].bits;
  const here = Object.entries(devices.value).filter(([, of]) => !source.bus || of?.bus === source.bus).map(([name]) => name);
  const renamed = !start.isNew && form.name !== source.name;
  const taken = (start.isNew || renamed) && devices.value[deviceName]?.tags?.[form.name] !== undefined;

  const nameTrouble = wrong || (taken ? t.editor.taken : form.name && !nameOk(form.name) ? t.editor.badName : '');

  const save = async (then) => {
    if (!form.name.trim()) { setWrong(t.editor.needName); document.getElementById('tag-name')?.focus(); return; }
    if (nameTrouble) return;
    setBusy(true);
    setError(null);
    const path = ['devices', deviceName, 'tags', form.name];
    const old = ['devices', deviceName, 'tags', source.name];
    try {
      if (isNewDevice) await edit([{ op: 'set', path: ['devices', deviceName], value: { ...section, tags: { [form.name]: tag } } }]);
      else if (start.isNew) await edit([{ op: 'set', path, value: tag }]);
      else {
        const changed = editsBetween(old, before, tag);
        const edits = [...changed, ...(renamed ? [{ op: 'rename', path: old, to: form.name }] : [])];
        if (edits.length) await edit(edits);
      }
      then(form.name);
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const remove = async () => {
    if (!(await confirm({ title: t.editor.removeTitle(source.name), text: t.editor.removeText, yes: t.remove, danger: true }))) return;
    const path = ['devices', deviceName, 'tags', source.name];
    try {
      await edit([start.profiled ? { op: 'set', path, value: 'off' } : { op: 'remove', path }]);
      toast(t.editor.removed(source.name), { action: review });
      onClose();
    } catch (failed) { setError(failed); }
  };
  const review = { label: t.first.review, run: () => go('/changes') };
  const done = (name) => {
    toast(start.isNew ? t.editor.added(name) : t.editor.changed(name), { action: may('operator') ? review : undefined });
    onClose();
  };
  const next = (name) => {
    // A toast would be behind the sheet.
    setKept(t.editor.added(name));
    const address = (typed(form.address) ?? 0) + registersOf(bits ? 'u16' : form.type);
    setDevice(deviceName);
    setForm((now) => ({ ...now, address: String(address), name: '' }));
    document.getElementById('tag-name')?.focus();
  };
  return html`<${Sheet} wide title=${start.isNew ? t.editor.title : `${deviceName} / ${source.name}`} onClose=${onClose}
    footer=${html`${!start.isNew && html`<${Button} kind="danger first" onClick=${remove}>${t.remove}<//>`}<${Button} onClick=${onClose}>${t.cancel}<//>
      ${start.isNew && html`<${Button} busy=${busy} onClick=${() => save(next)}>${t.editor.addNext}<//>
        <${Button} busy=${busy} onClick=${() => save(() => { onClose(); go('/changes'); })}>${t.editor.addReview}<//>`}
      <${Button} kind="primary" busy=${busy} onClick=${() => save(done)}>${start.isNew ? t.editor.add : t.editor.save}<//>`}>
    <div role="status">${kept && html`<p class="note good">${kept}</p>`}</div>
    <div class="editor">
      <form class="editor-form" onSubmit=${(e) => { e.preventDefault(); save(done); }}>
        <div class="fields">
          <${Text} label=${t.editor.name} id="tag-name" value=${form.name} onInput=${(v) => { setWrong(''); set('name')(v); }} error=${nameTrouble} placeholder="voltage_l1" autofocus wide />
          ${start.isNew && html`<${Select} label=${t.live.device} value=${device} onChange=${setDevice} options=${[...here.map((name) => [name, name]), [NEW, t.editor.newDevice]]} />
            ${isNewDevice && html`<${Text} label=${t.editor.deviceName} value=${newName} onInput=${setNewName} error=${nameOk(newName) ? '' : t.editor.badName} />`}`}
          <${Text} label=${t.editor.unit} value=${form.unit} onInput=${set('unit')} list="units" />
          <datalist id="units">${UNITS.map((unit) => html`<option value=${unit}></option>`)}</datalist>
        </div>
        <fieldset><legend>${t.editor.from}</legend><div class="fields">
          ${form.field !== '' ? html`<${Text} label=${t.editor.field} value=${form.field} onInput=${set('field')} required />` : html`
            <${Select} label=${t.registers.table} value=${form.table} onChange=${set('table')} options=${Object.keys(TABLES).map((name) => [name, t.tables[name]])} />
            <${Text} label=${t.editor.address} value=${form.address} onInput=${set('address')} inputmode="numeric" error=${typed(form.address) === null ? t.registers.badAddress : ''} />`}
          ${!bits && html`<${Select} label=${t.editor.type} value=${form.type} onChange=${set('type')} options=${TYPES.includes(form.type) ? TYPES : [form.type, ...TYPES]} />`}
          ${!bits && wide(form.type) && html`<${Select} label=${t.editor.order} value=${form.order} onChange=${set('order')} options=${ORDERS} hint=${t.orders[form.order]} />`}
          ${!bits && isNumber(form.type) && html`
            <${Text} label=${t.editor.scale} value=${form.scale} onInput=${set('scale')} inputmode="decimal" />
            <${Text} label=${t.editor.offset} value=${form.offset} onInput=${set('offset')} inputmode="decimal" />`}
          <${Select} label=${t.editor.every} value=${form.every} onChange=${set('every')} options=${[['', t.editor.asDevice(section.every ?? '1s')], ...(form.every && !EVERY.includes(form.every) ? [form.every] : []), ...EVERY]} />
        </div></fieldset>
        <${Choice} label=${t.editor.send} value=${form.publish} onChange=${set('publish')} options=${[['always', t.editor.always], ['changes', t.editor.changes]]} />
        ${form.publish === 'changes' && html`<div class="fields">
          <${Text} label=${t.editor.change} value=${form.change} onInput=${set('change')} unit=${form.change.endsWith('%') ? '' : form.unit} placeholder="0" hint=${t.editor.changeHint} />
          <${Text} label=${t.editor.atLeast} value=${form.atLeast} onInput=${set('atLeast')} placeholder="60s" /></div>`}
        ${form.field === '' && (form.table === 'holding' || form.table === 'coil') && html`
          <${Choice} label=${t.editor.access} value=${form.write} onChange=${set('write')} options=${[['read', t.editor.readOnly], ['write', t.editor.readWrite]]} />
          ${form.write === 'write' && !bits && isNumber(form.type) && html`<div class="fields">
            <${Text} label=${t.editor.min} value=${form.min} onInput=${set('min')} unit=${form.unit} inputmode="decimal" />
            <${Text} label=${t.editor.max} value=${form.max} onInput=${set('max')} unit=${form.unit} inputmode="decimal" hint=${t.editor.limits} /></div>`}`}
        <details><summary>${t.editor.more}</summary><div class="fields">
          <${Text} label=${t.editor.topic} value=${form.topic} onInput=${set('topic')} placeholder=${topicTemplate()} hint=${t.editor.topicHint} wide />
          <${Select} label=${t.editor.class} value=${form.class} onChange=${set('class')} options=${[['', t.editor.asDevice(section.class ?? 'normal')], ...CLASSES]} /></div></details>
        <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button>
      </form>
      <aside class="editor-side">
        <${Preview} name=${form.name} device=${deviceName} section=${section} tag=${tag} isNew=${start.isNew} was=${source.name} onValid=${setValid} />
        ${form.field === '' && html`<${TestRead} bus=${section.bus ?? source.bus} unit=${section.unit ?? source.unit ?? 1} device=${section} tag=${tag} shown=${source.shown} />`}
      </aside>
    </div>
    <${Trouble} error=${error} onClose=${() => setError(null)} />
    ${valid === false && html`<p class="hint">${t.editor.invalidHint}</p>`}
  <//>`;
}

const topicTemplate = () => draft.value?.tree?.topics?.tag ?? '{site}/{gateway}/{device}/{tag}';

/** Asks the device once, with what stands in the form. */
function TestRead({ bus, unit, device, tag, shown }) {
  const [busy, setBusy] = useState(false);
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState(null);
  const test = async () => {
    setBusy(true);
    setError(null);
    const { tags: _, ...inherits } = device;
    try { setAnswer(await post('/probe/test', { ...busTarget(bus), unit, tag, device: inherits })); } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const good = answer && String(answer.quality).startsWith('good');
  return html`<section class="test"><div class="row-of"><${Button} busy=${busy} onClick=${test}>${t.editor.test}<//>
    <span role="status">${answer ? html`<${State} kind=${good ? 'good' : 'bad'}>${answer.value == null ? answer.quality : `${reading(String(answer.value))} ${answer.unit ?? ''}`}<//> <small>${t.editor.in(duration(answer.took_ms))}</small>`
      : shown != null && html`<small>${t.editor.shown(reading(String(shown)))}</small>`}</span></div>
    <${Trouble} error=${error} onClose=${() => setError(null)} /></section>`;
}
