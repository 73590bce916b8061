// The pages, by what people want to do; on a phone the four most used and the rest behind "More".

import { html, useState } from '../vendor/preact.js';
import { path } from '../lib/router.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Icon } from './icon.js';
import { Sheet } from './overlay.js';
import { narrow } from './table.js';

/** @type {[string, string[]][]} */
const GROUPS = [
  ['', ['overview', 'live']],
  ['field', ['buses', 'scan', 'registers', 'mapping', 'trace', 'profiles']],
  ['north', ['uplinks', 'broker']],
  ['gateway', ['changes', 'config', 'users', 'system']],
];
const NEEDS = { scan: 'operator', registers: 'operator', mapping: 'operator', trace: 'operator', changes: 'operator', config: 'operator' };
const ON_PHONE = ['overview', 'live', 'buses', 'uplinks'];

const address = (name) => (name === 'overview' ? '/' : `/${name}`);
const shown = (name) => !NEEDS[name] || may(NEEDS[name]);

function Item({ name, short = false, onClick = undefined }) {
  const first = path.value.split('/')[1] || 'overview';
  return html`<a href=${address(name)} onClick=${onClick} aria-current=${first === name ? 'page' : undefined}><${Icon} name=${name} /><span>${short ? t.short[name] : t.nav[name]}</span></a>`;
}

function All({ onClick = undefined }) {
  return GROUPS.map(([group, names]) => html`<div class="group" key=${group}>
    ${group && html`<p class="group-name">${t.groups[group]}</p>`}
    ${names.filter(shown).map((name) => html`<${Item} key=${name} name=${name} onClick=${onClick} />`)}</div>`);
}

export function Navigation() {
  const [open, setOpen] = useState(false);
  if (!narrow.value) return html`<nav class="side" aria-label=${t.navigation}><${All} /></nav>`;
  const rest = !ON_PHONE.includes(path.value.split('/')[1] || 'overview');
  return html`<nav class="bottom" aria-label=${t.navigation}>
      ${ON_PHONE.map((name) => html`<${Item} key=${name} name=${name} short />`)}
      <button type="button" class=${rest ? 'current' : ''} onClick=${() => setOpen(true)} aria-haspopup="dialog"><${Icon} name="more" /><span>${t.more}</span></button></nav>
    ${open && html`<${Sheet} title=${t.navigation} onClose=${() => setOpen(false)}><nav class="all"><${All} onClick=${() => setOpen(false)} /></nav><//>`}`;
}
