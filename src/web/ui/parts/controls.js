// Buttons and fields: a label, what is typed, and what is wrong with it, in one shape everywhere.

import { html, useId, useRef, useState } from '../vendor/preact.js';
import { t } from '../lib/text.js';
import { explain } from '../lib/api.js';
import { Diff } from './diff.js';
import { Icon } from './icon.js';

/**
 * `busy` keeps the place and the word, and refuses a second click.
 * @param {any} props
 */
export function Button({ kind = '', icon = undefined, busy = false, children, onClick, type = 'button', ...rest }) {
  return html`<button type=${type} class=${`button ${kind}`} aria-busy=${busy || undefined} aria-disabled=${busy || undefined}
      onClick=${(event) => { if (busy) event.preventDefault(); else onClick?.(event); }} ...${rest}>
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} size=${18} />`}
    ${children}</button>`;
}

/** A button that runs something that takes time, and shows what went wrong beside itself. */
export function Act({ run, children, ...rest }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const act = async () => {
    setBusy(true);
    setError(null);
    try { await run(); } catch (failed) { setError(failed); } finally { setBusy(false); }
  };
  return html`<${Button} busy=${busy} onClick=${act} ...${rest}>${children}<//>
    ${error && html`<${Trouble} error=${error} onClose=${() => setError(null)} />`}`;
}

export function IconButton({ icon, label, onClick, kind = '', ...rest }) {
  return html`<button type="button" class=${`button bare ${kind}`} aria-label=${label} title=${label} onClick=${onClick} ...${rest}>
    <${Icon} name=${icon} /></button>`;
}

/** The frame of a field; `children` gets the ids that tie input, hint and error together. */
export function Field({ label, hint = undefined, error = undefined, wide = false, id: given = undefined, children }) {
  const made = useId();
  const id = given ?? made;
  const said = error ? `${id}-e` : hint ? `${id}-h` : undefined;
  return html`<div class=${`field ${wide ? 'wide' : ''} ${error ? 'wrong' : ''}`}>
    <label for=${id}>${label}</label>
    ${children({ id, 'aria-describedby': said, 'aria-invalid': error ? 'true' : undefined })}
    ${hint && !error && html`<p class="hint" id=${`${id}-h`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-e`}>${error}</p>`}
  </div>`;
}

/** What is typed belongs to the caller; nothing live ever writes into it. */
export function Text({ label, value, onInput, hint = undefined, error = undefined, wide = false, unit = undefined, id = undefined, ...rest }) {
  return html`<${Field} ...${{ label, hint, error, wide, id }}>${(ties) => html`<div class="input">
    <input ...${ties} value=${value} onInput=${(e) => onInput(e.target.value)} autocomplete="off" spellcheck=${false} ...${rest} />
    ${unit && html`<span class="unit">${unit}</span>`}</div>`}<//>`;
}

export function Password({ label, value, onInput, hint = undefined, error = undefined, autocomplete = 'current-password', ...rest }) {
  const [shown, setShown] = useState(false);
  return html`<${Field} ...${{ label, hint, error }}>${(ties) => html`<div class="input">
    <input ...${ties} type=${shown ? 'text' : 'password'} value=${value} onInput=${(e) => onInput(e.target.value)} autocomplete=${autocomplete} ...${rest} />
    <button type="button" class="button bare" aria-pressed=${shown} onClick=${() => setShown(!shown)}>${shown ? t.hide : t.show}</button></div>`}<//>`;
}

/** `options`: [value, words] pairs, or words alone. */
export function Select({ label, value, onChange, options, hint = undefined, error = undefined, ...rest }) {
  return html`<${Field} ...${{ label, hint, error }}>${(ties) => html`<select ...${ties} value=${value} onChange=${(e) => onChange(e.target.value)} ...${rest}>
    ${options.map((option) => {
      const [is, words] = Array.isArray(option) ? option : [option, option];
      return html`<option key=${is} value=${is} selected=${String(is) === String(value)}>${words}</option>`;
    })}</select>`}<//>`;
}

export function Check({ label, checked, onChange, hint = undefined, ...rest }) {
  const id = useId();
  return html`<div class="check"><input id=${id} type="checkbox" checked=${checked} onChange=${(e) => onChange(e.target.checked)} aria-describedby=${hint ? `${id}-h` : undefined} ...${rest} />
    <label for=${id}>${label}</label>${hint && html`<p class="hint" id=${`${id}-h`}>${hint}</p>`}</div>`;
}

/** A few choices side by side. */
export function Choice({ label, value, onChange, options }) {
  const id = useId();
  return html`<fieldset class="choice"><legend>${label}</legend><div class="segments">
    ${options.map(([is, words]) => html`<label key=${is}><input type="radio" name=${id} checked=${is === value} onChange=${() => onChange(is)} /><span>${words}</span></label>`)}
  </div></fieldset>`;
}

/** Around a small table: what does not fit is reached by scrolling, with the keyboard, too. */
export const Frame = ({ label, kind = '', children }) => html`<div class=${`frame ${kind}`} tabindex="0" role="group" aria-label=${label}>${children}</div>`;

/** The field that `/` goes to. */
export function Filter({ value, onInput, label = t.filter }) {
  return html`<div class="filter"><${Icon} name="scan" size=${18} />
    <input type="search" data-filter aria-label=${label} placeholder=${label} title=${t.filterKey} value=${value} spellcheck=${false} autocomplete="off"
      onInput=${(e) => onInput(e.target.value)}
      onKeyDown=${(e) => { if (e.key === 'Escape' && e.target.value) { e.stopPropagation(); e.preventDefault(); onInput(''); } }} /></div>`;
}

export function FilePicker({ label, accept, onText, icon = undefined }) {
  const input = useRef(null);
  const take = async (event) => {
    const file = event.target.files[0];
    if (file) onText(await file.text(), file.name);
    event.target.value = '';
  };
  return html`<${Button} icon=${icon} onClick=${() => input.current.click()}>${label}<//>
    <input ref=${input} type="file" class="hidden" tabindex="-1" aria-hidden="true" accept=${accept} onChange=${take} />`;
}

/** Every error of the page: what, why, and what to do next. */
export function Trouble({ error, onClose = undefined, onRetry = undefined }) {
  if (!error) return null;
  const { title, reason, hint, problems, code, diff } = explain(error);
  return html`<div class="trouble" role="alert" data-code=${code}>
    <p class="what"><strong>${title}</strong>${onClose && html`<${IconButton} icon="close" label=${t.close} onClick=${onClose} />`}</p>
    ${reason !== title && html`<p>${reason}</p>`}
    ${problems.length > 0 && html`<${Problems} problems=${problems} />`}
    ${diff && html`<${Diff} text=${diff} />`}
    ${hint && html`<p class="next"><span>${t.nextStep}</span> ${hint}</p>`}
    ${onRetry && html`<${Button} onClick=${onRetry}>${t.tryAgain}<//>`}
  </div>`;
}

const PROBLEMS_SHOWN = 20;

/** Problems of a configuration, each with its place; how many are left off is said. */
export function Problems({ problems }) {
  return html`<ul class="problems">
    ${problems.slice(0, PROBLEMS_SHOWN).map((p) => html`<li class=${p.severity === 'warning' ? 'warning' : 'error'}>
      <span class="at">${p.line ? t.line(p.line, p.column) : ''} ${p.path ?? ''}</span> ${p.message}${p.hint ? html` <em>${p.hint}</em>` : ''}</li>`)}
    ${problems.length > PROBLEMS_SHOWN && html`<li class="more">${t.moreLeft(problems.length - PROBLEMS_SHOWN)}</li>`}
  </ul>`;
}
