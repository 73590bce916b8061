// Find by value: what the display shows is searched in all tables, widths, orders and scales. A
// second look after the value moved leaves those that fit both times.

import { html, useState } from '../vendor/preact.js';
import { post } from '../lib/api.js';
import { showAddress } from '../lib/address.js';
import { busTarget } from '../lib/draft.js';
import { number, reading, typed } from '../lib/format.js';
import { t } from '../lib/text.js';
import { Button, Text, Trouble } from './controls.js';

const FIND_TIMEOUT_MS = 180_000;
const SHOWN = 50;

const same = (a) => `${a.table} ${a.address} ${a.type} ${a.order ?? ''} ${a.scale ?? 1}`;

export function Find({ bus, unit, way, onPick }) {
  const [display, setDisplay] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [wrong, setWrong] = useState('');
  const find = async (event) => {
    event.preventDefault();
    if (typed(display) === null) { setWrong(t.find.noNumber); return; }
    setWrong('');
    setBusy(true);
    setError(null);
    try {
      const said = await post('/probe/find', { ...busTarget(bus), unit, display: display.trim().replace(',', '.') }, { timeout: FIND_TIMEOUT_MS });
      const here = `${bus} ${unit}`;
      const before = found?.here === here && found.display !== display ? new Set(found.candidates.map(same)) : null;
      const both = before ? said.candidates.filter((one) => before.has(same(one))) : said.candidates;
      // When nothing fits both, the new look counts alone.
      setFound({ here, display, read: said.registers_read, complete: said.complete !== false, left: said.left_out ?? 0, candidates: both.length ? both : said.candidates, looks: both.length && before ? found.looks + 1 : 1 });
    } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<form class="panel find" onSubmit=${find}>
    <div class="bar"><${Text} label=${t.find.display} value=${display} onInput=${setDisplay} inputmode="decimal" placeholder="231.4" error=${wrong} hint=${t.find.hint} wide />
      <${Button} type="submit" icon="scan" busy=${busy}>${t.find.find}<//></div>
    ${busy && html`<p class="quiet" role="status">${t.find.searching}</p>`}
    <${Trouble} error=${error} onClose=${() => setError(null)} />
    ${found && !busy && html`<div role="status">
      <p><strong>${t.find.found(found.candidates.length, found.display)}</strong> <span class="quiet">${t.find.of(number(found.read))}</span></p>
      ${found.candidates.length > 1 && html`<p class="hint">${t.find.again}</p>`}
      ${found.candidates.length === 0 && html`<p class="hint">${t.find.none}</p>`}
      <ul class="candidates">${found.candidates.slice(0, SHOWN).map((one) => html`<li key=${same(one)}><button type="button" onClick=${() => onPick({ ...one, shown: one.value })}>
        <strong>${reading(String(one.value))}</strong><span>${t.tables[one.table]} ${showAddress(one.address, way, one.table)}</span><span class="mono">${one.type}${one.order ? ` ${one.order}` : ''}</span><span>${one.scale && Number(one.scale) !== 1 ? `× ${reading(String(one.scale))}` : ''}</span>${one.may_be_chance && html`<small>${t.find.chance}</small>`}</button></li>`)}</ul>
      ${Math.max(0, found.candidates.length - SHOWN) + found.left > 0 && html`<p class="quiet">${t.moreLeft(Math.max(0, found.candidates.length - SHOWN) + found.left)}</p>`}
      ${!found.complete && html`<p class="hint">${t.find.incomplete}</p>`}</div>`}
  </form>`;
}
