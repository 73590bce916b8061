// A device of a bus: which unit it is, how often it is asked, and the profile that knows its registers.

import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { get } from '../lib/api.js';
import { busNames, devices, edit, needDraft } from '../lib/draft.js';
import { typed } from '../lib/format.js';
import { editsBetween, freeName, nameOk, ORDERS } from '../lib/mapping.js';
import { go } from '../lib/router.js';
import { t } from '../lib/text.js';
import { Button, Select, Text, Trouble } from './controls.js';
import { confirm, Sheet, toast } from './overlay.js';

const EVERY = ['100ms', '250ms', '500ms', '1s', '2s', '5s', '10s', '30s', '60s', '5min'];
/** Keys that the form knows; the others of a device stay as they are. */
const OWN = ['bus', 'unit', 'every', 'timeout', 'pause', 'addresses', 'order', 'registers-max', 'profile'];

const formOf = (device) => ({
  bus: device.bus ?? '', unit: String(device.unit ?? 1), every: device.every ?? '', timeout: device.timeout ?? '', pause: device.pause ?? '',
  addresses: device.addresses ?? '', order: device.order ?? '', max: device['registers-max'] === undefined ? '' : String(device['registers-max']), profile: device.profile ?? '',
});

/** @returns {any} */
function deviceOf(form, before) {
  return {
    bus: form.bus, unit: typed(form.unit) ?? form.unit,
    ...(form.profile ? { profile: form.profile } : {}), ...(form.every ? { every: form.every } : {}), ...(form.timeout ? { timeout: form.timeout } : {}), ...(form.pause ? { pause: form.pause } : {}),
    ...(form.addresses ? { addresses: form.addresses } : {}), ...(form.order ? { order: form.order } : {}), ...(form.max === '' ? {} : { 'registers-max': typed(form.max) ?? form.max }),
    ...Object.fromEntries(Object.entries(before).filter(([key]) => !OWN.includes(key))),
  };
}

/** `name` of a device that is there, else what is known of a new one: { bus, unit, profile, called }. */
export function DeviceEditor({ name: known = '', bus = '', unit = 1, profile = '', called = '', onClose }) {
  const before = useMemo(() => (known ? devices.peek()[known] ?? {} : { bus: bus || busNames.peek()[0] || '', unit, ...(profile ? { profile } : {}) }), []);
  const [form, setForm] = useState(() => formOf(before));
  const [name, setName] = useState(known || freeName(called || `unit${unit}`, devices.peek()));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(/** @type {any} */ ({}));
  const set = (key) => (value) => setForm((now) => ({ ...now, [key]: value }));
  const [profiles, setProfiles] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    needDraft().catch(setError);
    get('/profiles').then(({ rows }) => setProfiles(rows), setError);
  }, []);
  const review = { label: t.first.review, run: () => go('/changes') };
  const save = async (event) => {
    event?.preventDefault();
    const at = typed(form.unit);
    const problems = {
      ...(nameOk(name) ? {} : { name: t.editor.badName }),
      ...(name !== known && devices.peek()[name] ? { name: t.buses.deviceTaken } : {}),
      ...(at !== null && Number.isInteger(at) && at >= 0 && at <= 255 ? {} : { unit: t.registers.badUnit }),
    };
    setWrong(problems);
    if (Object.keys(problems).length) return;
    setBusy(true);
    setError(null);
    try {
      const after = deviceOf(form, before);
      const path = ['devices', known];
      if (!known) await edit([{ op: 'set', path: ['devices', name], value: after.tags || after.profile ? after : { ...after, tags: {} } }]);
      else {
        const edits = [...editsBetween(path, before, after), ...(name === known ? [] : [{ op: 'rename', path, to: name }])];
        if (edits.length) await edit(edits);
      }
      toast(known ? t.editor.changed(name) : t.editor.added(name), { action: review });
      onClose(name);
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const remove = async () => {
    if (!(await confirm({ title: t.editor.removeTitle(known), text: t.buses.removeTags(Object.keys(before.tags ?? {}).length), yes: t.remove, danger: true }))) return;
    try {
      await edit([{ op: 'remove', path: ['devices', known] }]);
      toast(t.editor.removed(known), { action: review });
      onClose();
    } catch (failed) { setError(failed); }
  };
  return html`<${Sheet} title=${known || t.buses.addDevice} onClose=${() => onClose()}
    footer=${html`${known && html`<${Button} kind="danger first" onClick=${remove}>${t.remove}<//>`}<${Button} onClick=${() => onClose()}>${t.cancel}<//><${Button} kind="primary" busy=${busy} onClick=${save}>${known ? t.editor.save : t.editor.add}<//>`}>
    <form onSubmit=${save}>
      <${Text} label=${t.editor.deviceName} value=${name} onInput=${setName} error=${wrong.name} autofocus />
      <div class="fields">
        <${Select} label=${t.registers.bus} value=${form.bus} onChange=${set('bus')} options=${busNames.value.includes(form.bus) ? busNames.value : [form.bus, ...busNames.value]} />
        <${Text} label=${t.registers.unit} value=${form.unit} onInput=${set('unit')} inputmode="numeric" error=${wrong.unit} />
        <${Select} label=${t.editor.every} value=${form.every} onChange=${set('every')} options=${[['', t.buses.usual('1 s')], ...(form.every && !EVERY.includes(form.every) ? [form.every] : []), ...EVERY]} />
      </div>
      <${Text} label=${t.buses.profile} value=${form.profile} onInput=${set('profile')} list="profiles" placeholder="eastron-sdm630" hint=${t.buses.profileHint} />
      <datalist id="profiles">${profiles.map((one) => html`<option key=${one.name} value=${one.name}>${one.title ?? one.model ?? ''}</option>`)}</datalist>
      <details><summary>${t.buses.more}</summary><div class="fields">
        <${Text} label=${t.buses.timeout} value=${form.timeout} onInput=${set('timeout')} placeholder="1s" />
        <${Text} label=${t.buses.pause} value=${form.pause} onInput=${set('pause')} placeholder="0ms" />
        <${Text} label=${t.buses.max} value=${form.max} onInput=${set('max')} placeholder="125" inputmode="numeric" />
        <${Select} label=${t.editor.order} value=${form.order} onChange=${set('order')} options=${[['', t.buses.usual('ABCD')], ...ORDERS]} />
        <${Select} label=${t.buses.addresses} value=${form.addresses} onChange=${set('addresses')} options=${[['', t.buses.usual(t.registers.ways[0])], ['from-0', t.registers.ways[0]], ['from-1', t.registers.ways[1]]]} />
      </div></details>
      <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button>
    </form>
    <${Trouble} error=${error} onClose=${() => setError(null)} /><//>`;
}
