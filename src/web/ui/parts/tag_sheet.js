// One value in full: what it is, where it comes from and goes to, and setting it where that is allowed.

import { html, useState } from '../vendor/preact.js';
import { post, Problem, seg } from '../lib/api.js';
import { ago, duration, reading } from '../lib/format.js';
import { clock } from '../lib/live.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Button, Text, Trouble } from './controls.js';
import { State } from './icon.js';
import { Sheet } from './overlay.js';
import { NEVER, quality, Spark } from './values.js';
import { isWatched, watchTag } from './tiles.js';

export function TagSheet({ tag, onClose }) {
  const { v, q, at, vat } = tag.now.value;
  const { kind, word, cause, next } = quality(q);
  const now = clock.value;
  return html`<${Sheet} title=${`${tag.device} / ${tag.tag}`} onClose=${onClose}>
    <p class="big"><span class=${kind === 'bad' ? 'old' : ''}>${v == null ? '–' : reading(v)}</span> <small>${tag.unit}</small></p>
    <p class="row-of"><${State} kind=${kind}>${word}<//>${kind === 'good' && at > NEVER && html`<span class="quiet">${ago(now - at)}</span>`}<${Spark} tag=${tag} /></p>
    ${kind !== 'good' && cause && html`<div class=${`note ${kind}`}><p><strong>${cause}</strong></p><p>${next}</p>${vat != null && vat > NEVER && html`<p>${t.lastGood(ago(now - vat))}</p>`}</div>`}
    <dl class="facts">
      <dt>${t.tag.topic}</dt><dd class="mono">${tag.topic}</dd>
      <dt>${t.tag.source}</dt><dd>${tag.bus} · ${t.tag.unitId(tag.unit_id)} · ${tag.source}</dd>
      <dt>${t.tag.every}</dt><dd>${duration(tag.every_ms)}</dd>
    </dl>
    ${tag.writable && may('operator') && html`<${SetValue} tag=${tag} />`}
    <p class="row-of links"><button type="button" class="button" aria-pressed=${isWatched(tag.key)} onClick=${() => watchTag(tag.key)}>${isWatched(tag.key) ? t.tag.unwatch : t.tag.watch}</button>
    ${may('operator') && html`<a class="button" href=${`/mapping?tag=${seg(tag.key)}`}>${t.tag.edit}</a><a class="button" href=${`/registers?bus=${seg(tag.bus)}&unit=${tag.unit_id}`}>${t.tag.registers}</a><a class="button" href=${`/trace?bus=${seg(tag.bus)}`}>${t.nav.trace}</a>`}</p>
  <//>`;
}

/** A command; what became of it is said here. */
function SetValue({ tag }) {
  const [value, setValue] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [done, setDone] = useState('');
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    setDone('');
    try {
      const said = await post(`/tags/${seg(tag.device)}/${seg(tag.tag)}/value`, { value: asJson(value) });
      if (t.tag.outcomes[said.outcome]) {
        setDone(t.tag.outcomes[said.outcome](tag.tag, value));
        setValue('');
      } else setError(new Problem({ code: 'refused', reason: said.reason ?? said.outcome }));
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<form class="panel set" onSubmit=${send}><h3>${t.tag.set}</h3>
    <div class="bar"><${Text} label=${t.tag.newValue} value=${value} onInput=${setValue} unit=${tag.unit} required />
    <${Button} type="submit" busy=${busy}>${t.tag.write}<//></div>
    <div role="status">${done && html`<${State} kind="good">${done}<//>`}</div>
    <${Trouble} error=${error} /></form>`;
}

/** Numbers and true/false as such, all else as text. */
function asJson(text) {
  const plain = text.trim().replace(/^(-?\d+),(\d+)$/, '$1.$2');
  if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(plain)) return Number(plain);
  return plain === 'true' ? true : plain === 'false' ? false : text;
}
