// An uplink in a few fields; everything else about it stands in the configuration and is kept.

import { html, useEffect, useState } from '../vendor/preact.js';
import { edit, needDraft, tree } from '../lib/draft.js';
import { editsBetween, freeName, nameOk } from '../lib/mapping.js';
import { go } from '../lib/router.js';
import { t } from '../lib/text.js';
import { Button, Select, Text, Trouble } from './controls.js';
import { confirm, Sheet, toast } from './overlay.js';

const PRESETS = ['aws-iot-core', 'azure-event-grid', 'azure-iot-hub', 'emqx', 'emqx-cloud', 'hivemq-cloud', 'home-assistant', 'mosquitto', 'thingsboard'];
const KEYS = ['preset', 'url', 'client-id', 'username', 'ca', 'certificate', 'key', 'prefix'];
const SCHEMES = /^(mqtts?|wss?):\/\/[^\s/]+/;

export function UplinkForm({ name: known = '', onClose }) {
  const [form, setForm] = useState(/** @type {any} */ (null));
  const [before, setBefore] = useState(/** @type {any} */ ({}));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [wrong, setWrong] = useState(/** @type {any} */ ({}));
  useEffect(() => {
    needDraft().then(() => {
      const uplinks = tree.peek()?.uplinks ?? {};
      const own = uplinks[known] ?? {};
      setBefore(own);
      const first = Object.fromEntries(KEYS.map((key) => [key, Array.isArray(own[key]) ? own[key].join(', ') : own[key] ?? '']));
      setForm({ ...first, name: known || freeName('cloud', uplinks), password: own.password?.file ?? '' });
    }, setError);
  }, []);
  const set = (key) => (value) => setForm((now) => ({ ...now, [key]: value }));
  const review = { label: t.first.review, run: () => go('/changes') };
  const save = async (event) => {
    event?.preventDefault();
    const urls = form.url.split(',').map((url) => url.trim()).filter(Boolean);
    const problems = {
      ...(nameOk(form.name) ? {} : { name: t.editor.badName }),
      ...(urls.length && urls.every((url) => SCHEMES.test(url)) ? {} : { url: t.uplinkForm.badUrl }),
    };
    setWrong(problems);
    if (Object.keys(problems).length) return;
    /** @type {any} */
    const after = { ...before };
    for (const key of KEYS) if (form[key]) after[key] = form[key]; else delete after[key];
    after.url = urls.length === 1 ? urls[0] : urls;
    if (form.password) after.password = { ...before.password, file: form.password }; else delete after.password;
    setBusy(true);
    setError(null);
    try {
      const path = ['uplinks', form.name];
      await edit(known ? editsBetween(path, before, after) : [{ op: 'set', path, value: after }]);
      toast(known ? t.editor.changed(form.name) : t.editor.added(form.name), { action: review });
      onClose();
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  const remove = async () => {
    if (!(await confirm({ title: t.editor.removeTitle(known), text: t.uplinkForm.removeText, yes: t.remove, danger: true }))) return;
    try {
      await edit([{ op: 'remove', path: ['uplinks', known] }]);
      toast(t.editor.removed(known), { action: review });
      onClose();
    } catch (failed) { setError(failed); }
  };
  return html`<${Sheet} title=${known || t.uplinkForm.title} onClose=${onClose}
    footer=${html`${known && html`<${Button} kind="danger first" onClick=${remove}>${t.remove}<//>`}<${Button} onClick=${onClose}>${t.cancel}<//><${Button} kind="primary" busy=${busy} disabled=${!form} onClick=${save}>${known ? t.editor.save : t.editor.add}<//>`}>
    ${form && html`<form onSubmit=${save}>
      ${!known && html`<${Text} label=${t.editor.name} value=${form.name} onInput=${set('name')} error=${wrong.name} />`}
      <${Text} label=${t.uplinkForm.url} value=${form.url} onInput=${set('url')} error=${wrong.url} hint=${t.uplinkForm.urlHint} placeholder="mqtts://broker.example" inputmode="url" autofocus />
      <${Select} label=${t.uplinkForm.preset} value=${form.preset} onChange=${set('preset')} options=${[['', t.uplinkForm.none], ...PRESETS]} hint=${t.uplinkForm.presetHint} />
      <div class="fields">
        <${Text} label=${t.user} value=${form.username} onInput=${set('username')} autocapitalize="none" />
        <${Text} label=${t.uplinkForm.password} value=${form.password} onInput=${set('password')} hint=${t.uplinkForm.passwordHint} placeholder="cloud.password" />
      </div>
      <details open=${!!(form.ca || form.certificate || form.prefix || form['client-id'])}><summary>${t.uplinkForm.more}</summary><div class="fields">
        <${Text} label=${t.uplinkForm.clientId} value=${form['client-id']} onInput=${set('client-id')} />
        <${Text} label=${t.uplinkForm.prefix} value=${form.prefix} onInput=${set('prefix')} hint=${t.uplinkForm.prefixHint} />
        <${Text} label=${t.uplinkForm.ca} value=${form.ca} onInput=${set('ca')} hint=${t.uplinkForm.fileHint} />
        <${Text} label=${t.uplinkForm.certificate} value=${form.certificate} onInput=${set('certificate')} />
        <${Text} label=${t.uplinkForm.key} value=${form.key} onInput=${set('key')} />
      </div></details>
      <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button></form>`}
    <${Trouble} error=${error} onClose=${() => setError(null)} /><//>`;
}
