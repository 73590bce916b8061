// What was read, in every way it may be meant. A cell is a button: it becomes a tag.

import { html, useState } from '../vendor/preact.js';
import { showAddress } from '../lib/address.js';
import { reading } from '../lib/format.js';
import { ORDERS } from '../lib/mapping.js';
import { read as kept, keep, t } from '../lib/text.js';
import { quality } from './values.js';
import { Choice, Frame } from './controls.js';
import { Shape } from './icon.js';

const GROUPS = ['f32', 'u32', 'i32', 'f64', 'u64', 'i64'];

/** The words under which an answer tells the interpretation of a type in an order. */
const key = (type, order) => `${type} ${order}`;

/** `ways`: the choice of how addresses are written, which stands beside that of the interpretation. */
export function RegisterTable({ answer, way, ways, onPick }) {
  const [group, setGroup] = useState(kept('fieldhold.group') ?? 'f32');
  const { table, items } = answer;
  const bits = items.some((item) => item.value !== undefined && item.hex === undefined);
  const cell = (item, text, source, name) => (text == null || text === ''
    ? html`<td class="none" key=${name}></td>`
    : html`<td key=${name}><button type="button" title=${t.registers.use(name, text)} onClick=${() => onPick({ address: item.address, shown: text, ...source })}>${reading(text)}</button></td>`);
  return html`
    <div class="row-of choices">${ways}${!bits && html`<${Choice} label=${t.registers.group} value=${group} onChange=${(next) => { setGroup(next); keep('fieldhold.group', next); }} options=${GROUPS.map((type) => [type, t.registers.groups[type]])} />`}</div>
    <${Frame} kind="registers" label=${t.registers.result}><table class="plain">
      <thead><tr><th scope="col">${t.registers.register}</th>${bits ? html`<th scope="col">${t.registers.bit}</th>` : html`
        <th scope="col">hex</th><th scope="col">u16</th><th scope="col">i16</th><th scope="col" class="wide-only">${t.registers.bits}</th><th scope="col">${t.registers.text}</th>
        ${ORDERS.map((order) => html`<th scope="col" key=${order}>${group} ${order}</th>`)}`}</tr></thead>
      <tbody>${items.map((item) => {
        const at = html`<th scope="row">${showAddress(item.address, way, table)}</th>`;
        if (item.exception !== undefined || item.reason !== undefined) {
          const said = item.exception !== undefined ? quality(`bad:exception-${item.exception}`).cause : item.reason;
          return html`<tr key=${item.address} class="none">${at}<td colspan="9"><span class="state bad"><${Shape} kind="bad" /><span>${said}</span></span></td></tr>`;
        }
        if (bits) return html`<tr key=${item.address}>${at}${cell(item, String(item.value), { type: 'bool' }, 'bool')}</tr>`;
        return html`<tr key=${item.address}>${at}<td class="mono">${item.hex}</td>
          ${cell(item, item.u16, { type: 'u16' }, 'u16')}${cell(item, item.i16, { type: 'i16' }, 'i16')}
          <td class="mono wide-only"><button type="button" title=${t.registers.useBits} onClick=${() => onPick({ address: item.address, type: 'bit:0', shown: item.bits })}>${spacedBits(item.bits)}</button></td>
          ${cell(item, item.text, { type: 'text:8' }, 'text')}
          ${ORDERS.map((order) => cell(item, item.as?.[key(group, order)], { type: group, order }, key(group, order)))}</tr>`;
      })}</tbody></table><//>`;
}

const spacedBits = (bits) => String(bits ?? '').replace(/\s/g, '').replace(/(.{4})(?=.)/g, '$1 ');
