// The draft: what would change, what it does, and applying it, with a timer that takes it back.

import { html, useEffect, useState } from '../vendor/preact.js';
import { post } from '../lib/api.js';
import { apply, changeCount, discard, draft, loadDraft, putText } from '../lib/draft.js';
import { duration } from '../lib/format.js';
import { clock, status } from '../lib/live.js';
import { go } from '../lib/router.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Act, Button, Problems, Select, Trouble } from '../parts/controls.js';
import { Diff } from '../parts/diff.js';
import { wallNow } from '../parts/head.js';
import { confirm, toast } from '../parts/overlay.js';

const SIGNS = { add: '+', change: '~', remove: '−' };
const CHANGES_SHOWN = 200;
const CONFIRM_S = [60, 120, 300, 900];

export default function Changes() {
  const [error, setError] = useState(null);
  const [applyError, setApplyError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [seconds, setSeconds] = useState('120');
  useEffect(() => { loadDraft().catch(setError); }, []);
  const now = draft.value;
  const pending = status.value?.configuration?.pending_until_ms;
  if (error) return html`<${Trouble} error=${error} onRetry=${() => { setError(null); loadDraft().catch(setError); }} />`;
  if (!now) return html`<p class="quiet" role="status">${t.loading}</p>`;
  const run = async (confirmS) => {
    setBusy(true);
    setApplyError(null);
    try {
      await apply(confirmS);
      toast(confirmS ? t.changes.appliedPending(duration(confirmS * 1000)) : t.changes.applied, { action: { label: t.nav.live, run: () => go('/live') } });
    } catch (failed) {
      setApplyError(failed);
      if (failed.code === 'changed') await loadDraft().catch(() => {});
    } finally { setBusy(false); }
  };
  const errors = (now.problems ?? []).filter((p) => p.severity !== 'warning');
  const warnings = [...(now.warnings ?? []), ...(now.problems ?? []).filter((p) => p.severity === 'warning')];
  const left = changeCount.value - Math.min(now.changes.length, CHANGES_SHOWN);
  const conflicts = now.conflicts ?? [];
  return html`
    <div class="title"><h1>${t.nav.changes}</h1></div>
    ${pending && html`<${Pending} until=${pending} version=${status.value.configuration.version} />`}
    ${conflicts.length > 0 && html`<section class="panel pending"><h2>${t.changes.metTitle}</h2><p>${t.changes.metText}</p><p class="mono">${conflicts.join(', ')}</p>
      <div class="row-of"><a class="button" href="/config">${t.changes.metMerge}</a>
        <${Act} kind="danger" run=${async () => { if (await confirm({ title: t.changes.metTitle, text: t.changes.metKeepText, yes: t.changes.metKeep, danger: true })) await putText(now.text); }}>${t.changes.metKeep}<//></div></section>`}
    ${now.changes.length === 0 ? html`<div class="panel empty-state"><h2>${t.changes.none}</h2><p>${t.changes.noneText}</p><p class="row-of center"><a class="button" href="/registers">${t.nav.registers}</a><a class="button" href="/mapping">${t.nav.mapping}</a></p></div>` : html`
      <section class="panel">
        <header><h2>${t.changes.count(changeCount.value)}</h2></header>
        <ul class="change-list">${now.changes.slice(0, CHANGES_SHOWN).map((change) => html`<li key=${String(change.path) + change.kind} class=${change.kind}><span class="sign" aria-hidden="true">${SIGNS[change.kind]}</span><${Words} change=${change} /></li>`)}
          ${left > 0 && html`<li class="quiet">${t.moreLeft(left)}</li>`}</ul>
        ${now.effects?.length > 0 && html`<div class="note info"><p><strong>${t.changes.effect}</strong></p>${now.effects.map((words) => html`<p>${words}</p>`)}</div>`}
        ${errors.length > 0 && html`<div class="note bad"><p><strong>${t.changes.problems(errors.length)}</strong></p><${Problems} problems=${errors} /></div>`}
        ${warnings.length > 0 && html`<div class="note warn"><p><strong>${t.changes.warnings}</strong></p><${Problems} problems=${warnings.map((w) => ({ ...w, severity: 'warning' }))} /></div>`}
        <${Trouble} error=${applyError} onClose=${() => setApplyError(null)} />
        ${may('admin') ? html`<div class="apply">
          <${Button} kind="primary" busy=${busy} disabled=${errors.length + conflicts.length > 0} onClick=${() => run()}>${t.changes.apply}<//>
          <div class="row-of with-undo"><${Button} busy=${busy} disabled=${errors.length + conflicts.length > 0} onClick=${() => run(Number(seconds))}>${t.changes.applyUndo}<//>
            <${Select} label=${t.changes.within} value=${seconds} onChange=${setSeconds} options=${CONFIRM_S.map((s) => [s, duration(s * 1000)])} /></div>
          <${Act} kind="danger" run=${async () => { if (await confirm({ title: t.changes.discardTitle, text: t.changes.discardText(changeCount.value), yes: t.changes.discard, danger: true })) await discard(); }}>${t.changes.discard}<//>
        </div>` : html`<p class="hint">${t.changes.needAdmin}</p>`}
      </section>
      <section class="panel"><header><h2>${t.difference}</h2><span class="quiet mono">${now.file ?? 'fieldhold.yaml'}</span></header>${now.diff ? html`<${Diff} text=${now.diff} />` : html`<p class="quiet">–</p>`}</section>`}`;
}

function Words({ change }) {
  const path = Array.isArray(change.path) ? change.path : String(change.path).split('.');
  const [section, name, key, tag, ...rest] = path;
  const where = section === 'devices' && key === 'tags' && tag
    ? html`${t.changes.tag} <strong>${tag}</strong> ${t.changes.on} <strong>${name}</strong>${rest.length ? ` · ${rest.join('.')}` : ''}`
    : html`<strong>${path.join(' · ')}</strong>`;
  return html`<span><span class="visually-hidden">${t.changes.kinds[change.kind]} </span>${where}
    ${change.kind === 'change' && html` <span class="mono">${short(change.before)} → ${short(change.after)}</span>`}
    ${change.kind === 'add' && change.after !== undefined && html` <span class="mono quiet">${short(change.after)}</span>`}</span>`;
}

const WORDS_MAX = 120;

/** A value in one line; what is left off is marked. */
function short(value) {
  if (value == null) return '–';
  const text = typeof value === 'string' ? value : JSON.stringify(value).replace(/"/g, '').replace(/([:,])/g, '$1 ');
  return text.length > WORDS_MAX ? `${text.slice(0, WORDS_MAX)} …` : text;
}

/** Applied, and taken back unless somebody says that it is good. */
function Pending({ until, version }) {
  const left = Math.max(0, until - wallNow(clock.value));
  return html`<section class="panel pending" role="status"><h2>${t.changes.pendingTitle(duration(left))}</h2><p>${t.changes.pendingText}</p>
    ${may('admin') && html`<div class="row-of"><${Act} kind="primary" run=${async () => { await post('/config/confirm', { version }); toast(t.changes.confirmed); }}>${t.changes.keep}<//>
      <${Act} kind="danger" run=${async () => { await post('/config/rollback', {}); toast(t.changes.undone); }}>${t.changes.undo}<//></div>`}</section>`;
}
