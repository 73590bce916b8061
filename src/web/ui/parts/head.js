// The head of every page: which gateway this is, and whether anything needs a look.

import { Fragment, html, useState } from '../vendor/preact.js';
import { changeCount, forgetDraft } from '../lib/draft.js';
import { duration, number } from '../lib/format.js';
import { clock, status } from '../lib/live.js';
import { go } from '../lib/router.js';
import { may, session, signOut } from '../lib/session.js';
import { chooseLanguage, language, LANGUAGES, t } from '../lib/text.js';
import { Act, Button, Select } from './controls.js';
import { Icon, Shape } from './icon.js';
import { Sheet } from './overlay.js';
import { PasswordForm } from './password.js';
import { uplinkState } from './states.js';

function Chip({ kind, href, label, children }) {
  return html`<a class=${`chip ${kind}`} href=${href} title=${label} aria-label=${label}><${Shape} kind=${kind} /><span>${children}</span></a>`;
}

/** Buses: how many are up, or which is not. */
function Buses({ buses }) {
  const all = Object.entries(buses ?? {});
  if (all.length === 0) return html`<${Chip} kind="off" href="/buses" label=${t.head.noBus}>${t.head.noBus}<//>`;
  const down = all.filter(([, bus]) => bus.state === 'down');
  const silent = all.reduce((sum, [, bus]) => sum + (bus.silent ?? 0), 0);
  const connecting = all.find(([, bus]) => bus.state === 'connecting');
  const [kind, words] = down.length === 1 ? ['bad', t.head.busDown(down[0][0])]
    : down.length ? ['bad', t.head.busesDown(down.length, all.length)]
    : silent ? ['warn', t.head.silent(silent)]
    : connecting ? ['busy', `${connecting[0]}: ${t.bus.connecting}`]
    : ['good', t.head.busesUp(all.length)];
  return html`<${Chip} kind=${kind} href="/buses" label=${words}>${words}<//>`;
}

const WORST = ['offline', 'connecting', 'stopped', 'online'];
/** A few are always on their way; those are no backlog. */
const ON_THEIR_WAY = 100;

function Uplinks({ uplinks }) {
  const all = Object.entries(uplinks ?? {}).sort(([, a], [, b]) => WORST.indexOf(a.state) - WORST.indexOf(b.state));
  if (all.length === 0) return html`<${Chip} kind="off" href="/uplinks" label=${t.head.noUplink}>${t.head.noUplink}<//>`;
  const waiting = all.reduce((sum, [, uplink]) => sum + (uplink.waiting ?? 0), 0);
  const [name, worst] = all[0];
  const { kind, word } = uplinkState(worst);
  const words = `${name} ${word}${kind !== 'good' || waiting > ON_THEIR_WAY ? ` · ${t.waiting(number(waiting))}` : ''}`;
  return html`<${Chip} kind=${kind} href="/uplinks" label=${words}>${words}<//>`;
}

function Pending({ configuration }) {
  const until = configuration?.pending_until_ms;
  const at = clock.value;
  if (until) {
    const left = Math.max(0, until - wallNow(at));
    return html`<${Chip} kind="warn" href="/changes" label=${t.head.pending(duration(left))}>${t.head.pending(duration(left))}<//>`;
  }
  const count = changeCount.value;
  if (!count || !may('operator')) return null;
  return html`<${Chip} kind="info" href="/changes" label=${t.head.notApplied(count)}>${t.head.notApplied(count)}<//>`;
}

/** The gateway's wall clock now, carried on by the browser's between two events. */
export function wallNow(at = performance.now()) {
  const wall = status.value?.gateway?.wall_ms;
  return wall == null ? Date.now() : wall + Math.max(0, at - status.value.at);
}

export function Head() {
  const [open, setOpen] = useState(false);
  const now = status.value;
  const gateway = now?.gateway ?? session.value.gateway;
  return html`<${Fragment}><header class="head">
    <a class="gateway" href="/" aria-label=${t.nav.overview}>
      <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true"><path d="M12 7H7v18h5M20 7h5v18h-5" /><circle cx="16" cy="16" r="3.6" /></svg>
      <span class="name">${gateway.name}</span>${session.value.demo && html`<span class="demo">${t.head.demo}</span>`}</a>
    <div class="chips">
      ${now && html`<${Buses} buses=${now.buses} /><${Uplinks} uplinks=${now.uplinks} /><${Pending} configuration=${now.configuration} />
        ${now.gateway.clock_synced === false && html`<${Chip} kind="warn" href="/system" label=${t.head.clockUnsure}>${t.head.clockUnsure}<//>`}`}
    </div>
    <button type="button" class="who" onClick=${() => setOpen(true)} aria-haspopup="dialog" aria-label=${t.head.account}><${Icon} name="person" /><span>${session.value.user ?? ''}</span></button>
  </header>${open && html`<${Account} onClose=${() => setOpen(false)} />`}<//>`;
}

function Account({ onClose }) {
  const [changing, setChanging] = useState(false);
  const { user, role, demo } = session.value;
  return html`<${Sheet} title=${t.head.account} onClose=${onClose}>
    <p><strong>${user}</strong> · ${t.roles[role]}</p>
    <${Select} label=${t.head.language} value=${language.value} onChange=${chooseLanguage} options=${Object.entries(LANGUAGES)} />
    ${!demo && html`<section><h3>${t.head.password}</h3>${changing
      ? html`<${PasswordForm} onDone=${() => setChanging(false)} />`
      : html`<${Button} onClick=${() => setChanging(true)}>${t.head.changePassword}<//>`}</section>
    <${Act} icon="out" run=${async () => { await signOut(); forgetDraft(); onClose(); go('/'); }}>${t.head.signOut}<//>`}
  <//>`;
}
