// The configuration as text, its history, and the way back; a copy of everything to keep elsewhere.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { get, post } from '../lib/api.js';
import { draft, hold, loadDraft, putText } from '../lib/draft.js';
import { date } from '../lib/format.js';
import { status } from '../lib/live.js';
import { go } from '../lib/router.js';
import { may, session } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Act, Button, FilePicker, Frame, Problems, Trouble } from '../parts/controls.js';
import { Diff } from '../parts/diff.js';
import { State } from '../parts/icon.js';
import { confirm, Sheet, toast } from '../parts/overlay.js';
import { Tabs } from '../parts/tabs.js';

export default function Config({ query }) {
  const tabs = [['text', t.config.text], ['history', t.config.history],
    // To others the hashes of passwords are not shown, and a backup without them is none.
    ...(may('admin') ? [['backup', t.config.backup]] : [])];
  const tab = tabs.some(([key]) => key === query.tab) ? query.tab : 'text';
  return html`<div class="title"><h1>${t.nav.config}</h1></div>
    <${Tabs} label=${t.nav.config} tabs=${tabs} value=${tab} />
    ${tab === 'history' ? html`<${History} />` : tab === 'backup' ? html`<${Backup} />` : html`<${Text} />`}`;
}

/** What is typed here stays, whatever others do meanwhile, until it is put into the draft. */
function Text() {
  const [text, setText] = useState(/** @type {string | null} */ (null));
  const [error, setError] = useState(null);
  const [checked, setChecked] = useState(/** @type {any} */ (null));
  const [edited, setEdited] = useState(false);
  const area = useRef(null);
  const load = () => loadDraft().then((now) => { setText(now.text); setError(null); setChecked(null); }, setError);
  useEffect(() => { load(); get('/config').then((now) => setEdited(!!now.file_edited), setError); }, []);
  useEffect(hold, []);
  if (text === null) return error ? html`<${Trouble} error=${error} onRetry=${load} />` : html`<p class="quiet" role="status">${t.loading}</p>`;
  const changed = text !== draft.value?.text;
  const check = async () => setChecked(await post('/check', { text }));
  const put = async () => {
    await putText(text);
    setChecked(null);
    toast(t.config.inDraft, { action: { label: t.first.review, run: () => go('/changes') } });
  };
  const said = checked ?? (changed ? null : draft.value);
  const found = [...(said?.problems ?? []), ...(said?.warnings ?? []).map((w) => ({ ...w, severity: 'warning' }))];
  const jump = (problem) => {
    const before = text.split('\n').slice(0, problem.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
    area.current.focus();
    area.current.setSelectionRange(before + Math.max(0, (problem.column ?? 1) - 1), before + (text.split('\n')[problem.line - 1]?.length ?? 0));
    area.current.scrollTop = Math.max(0, (problem.line - 5) * parseFloat(getComputedStyle(area.current).lineHeight));
  };
  return html`<section class="panel">
    ${edited && html`<p class="note warn">${t.config.fileEdited}</p>`}
    <label class="visually-hidden" for="config-text">${t.config.text}</label>
    <div class="text-with-lines"><${Lines} text=${text} of=${area} /><textarea id="config-text" ref=${area} class="text tall" spellcheck=${false} autocapitalize="none" value=${text} onInput=${(e) => { setText(e.target.value); setChecked(null); }} readonly=${!may('operator')}></textarea></div>
    <div class="row-of spaced"><${Act} run=${check}>${t.config.check}<//>
      <${Act} kind=${changed ? 'primary' : ''} disabled=${!changed} run=${put}>${t.config.put}<//>
      ${changed && html`<${Button} onClick=${load}>${t.config.forget}<//>`}
      ${!changed && draft.value?.changed && html`<a class="button primary" href="/changes">${t.first.review}</a>`}
      <span class="quiet" role="status">${checked && found.length === 0 ? html`<${State} kind="good">${t.config.fine}<//>` : changed ? t.config.notInDraft : ''}</span></div>
    ${found.length > 0 && html`<div class="spaced">${found.slice(0, 50).map((problem) => html`<div class="jump-to">${problem.line ? html`<button type="button" class="button bare" onClick=${() => jump(problem)}>${t.config.goTo(problem.line)}</button>` : ''}<${Problems} problems=${[problem]} /></div>`)}${found.length > 50 && html`<p>${t.moreLeft(found.length - 50)}</p>`}</div>`}
    <${Trouble} error=${error} onClose=${() => setError(null)} />
  </section>`;
}

/** Numbers beside the lines, moved with the text. */
function Lines({ text, of }) {
  const box = useRef(null);
  const count = text.split('\n').length;
  useEffect(() => {
    const area = of.current;
    const follow = () => { if (box.current) box.current.scrollTop = area.scrollTop; };
    area.addEventListener('scroll', follow, { passive: true });
    return () => area.removeEventListener('scroll', follow);
  }, []);
  return html`<pre class="line-numbers" ref=${box} aria-hidden="true">${Array.from({ length: count }, (_, i) => i + 1).join('\n')}</pre>`;
}

const STATES = { stands: 'good', pending: 'busy', 'rolled-back': 'warn' };

function History() {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [error, setError] = useState(null);
  const [open, setOpen] = useState(/** @type {any} */ (null));
  const load = () => get('/config/history').then((page) => { setRows(page.rows); setError(null); }, setError);
  const running = status.value?.configuration?.version;
  useEffect(() => { load(); }, [running]);
  return html`<${Trouble} error=${error} onRetry=${load} />
    ${rows && html`<${Frame} label=${t.nav.config}><table class="plain rows"><thead><tr><th scope="col" class="number">${t.config.version}</th><th scope="col">${t.config.when}</th><th scope="col">${t.config.author}</th><th scope="col">${t.config.what}</th><th scope="col">${t.buses.state}</th><th scope="col"><span class="visually-hidden">${t.details}</span></th></tr></thead>
      <tbody>${rows.map((row) => { const state = typeof row.state === 'string' ? row.state : row.state?.state; return html`<tr key=${row.version}><th scope="row" class="number">${row.version}</th><td class="nowrap">${date(row.at_wall_ms)}</td><td>${row.author}</td><td>${row.what}</td><td><${State} kind=${row.version === running ? 'good' : STATES[state] === 'good' ? 'off' : STATES[state] ?? 'off'}>${row.version === running ? t.config.runs : t.config.states[state] ?? state}<//>${row.reason && html`<br /><small>${row.reason}</small>`}</td>
        <td><span class="row-of end"><button type="button" class="button bare" aria-label=${`${t.config.look}: ${row.version}`} onClick=${() => setOpen(row)}>${t.config.look}</button></span></td></tr>`; })}</tbody></table><//>`}
    ${open && html`<${Version} row=${open} running=${running} onClose=${() => setOpen(null)} />`}`;
}

function Version({ row, running, onClose }) {
  const [diff, setDiff] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(null);
  const path = `/config/history/${row.version}`;
  useEffect(() => { get(`${path}/diff`).then(setDiff, setError); }, []);
  const words = diff && (typeof diff === 'string' ? diff : diff.diff);
  const back = async () => {
    if (!(await confirm({ title: t.config.backTitle(row.version), text: t.config.backText, yes: t.config.back, danger: true }))) return;
    await post('/config/rollback', { version: row.version });
    toast(t.config.isBack(row.version));
    onClose();
  };
  const toDraft = async () => {
    const { text } = await get(path);
    await loadDraft();
    await putText(text);
    toast(t.config.inDraft);
    onClose();
    go('/changes');
  };
  return html`<${Sheet} wide title=${t.config.versionOf(row.version)} onClose=${onClose}
    footer=${html`<${Button} onClick=${onClose}>${t.close}<//>${may('operator') && row.version !== running && html`<${Act} run=${toDraft}>${t.config.toDraft}<//>`}${may('admin') && row.version !== running && html`<${Act} kind="danger" run=${back}>${t.config.back}<//>`}`}>
    <p>${date(row.at_wall_ms)} · ${row.author}</p><p>${row.what}</p>
    <h3>${t.config.against}</h3>
    ${words ? html`<${Diff} text=${words} />` : words === '' ? html`<p class="quiet">${t.config.same}</p>` : !error && html`<p class="quiet" role="status">${t.loading}</p>`}
    <${Trouble} error=${error} /><//>`;
}

/** The configuration is one text, so a backup is that text, and restoring it is a draft like any other. */
function Backup() {
  const [error, setError] = useState(null);
  const save = async () => {
    const { text, version } = await get('/config');
    const { name } = session.value.gateway;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
    link.download = `${name}-${version ?? 'configuration'}.yaml`;
    link.click();
    // Not before the browser has taken it.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
  const restore = async (text) => {
    setError(null);
    try {
      await loadDraft();
      await putText(text);
      toast(t.config.restored, { action: { label: t.first.review, run: () => go('/changes') } });
    } catch (failed) { setError(failed); }
  };
  return html`<div class="columns">
    <section class="panel"><header><h2>${t.config.backup}</h2></header><p>${t.config.backupText}</p><p class="row-of"><${Act} kind="primary" run=${save}>${t.config.saveBackup}<//></p></section>
    <section class="panel"><header><h2>${t.config.restore}</h2></header><p>${t.config.restoreText}</p><p class="row-of"><${FilePicker} label=${t.config.chooseBackup} accept=".yaml,.yml,text/yaml" onText=${restore} /></p><${Trouble} error=${error} onClose=${() => setError(null)} /></section></div>`;
}
