// What lies over the page: side sheets, questions, and words that go by themselves. The browser's
// own dialog keeps the focus inside, closes on Esc and gives the focus back.

import { html, signal, useEffect, useLayoutEffect, useRef } from '../vendor/preact.js';
import { hold } from '../lib/draft.js';
import { t } from '../lib/text.js';
import { Button, IconButton } from './controls.js';

/** @param {any} props */
function Dialog({ kind, title, onClose, children, footer = undefined }) {
  const box = useRef(null);
  useLayoutEffect(() => {
    const back = document.activeElement;
    const dialog = box.current;
    dialog.showModal();
    // The first field, else the title: never the button that closes it.
    (box.current.querySelector('.body [autofocus]') ?? box.current.querySelector('h2')).focus();
    const release = hold();
    return () => {
      release();
      // While it is open all else takes no focus.
      dialog.close();
      if (back instanceof HTMLElement && back.isConnected) back.focus();
    };
  }, []);
  // A click beside it closes nothing: what was typed there would be gone.
  return html`<dialog ref=${box} class=${kind} aria-label=${title} onCancel=${(e) => { if (e.target === box.current) { e.preventDefault(); onClose(); } }}>
    <div class="dialog-head"><h2 tabindex="-1">${title}</h2><${IconButton} icon="close" label=${t.close} onClick=${onClose} /></div>
    <div class="body">${children}</div>
    ${footer && html`<div class="dialog-foot">${footer}</div>`}
  </dialog>`;
}

/** A panel at the side; all of the screen on a phone. */
export const Sheet = (props) => html`<${Dialog} kind=${`sheet ${props.wide ? 'wide' : ''}`} ...${props} />`;

export const Box = (props) => html`<${Dialog} kind="box" ...${props} />`;

const asked = signal(/** @type {any} */ (null));

/**
 * Asks before something that can't be taken back; resolves to whether it shall be done.
 * @param {{ title: string, text: string, yes: string, danger?: boolean }} question
 */
export function confirm(question) {
  return new Promise((resolve) => { asked.value = { ...question, resolve }; });
}

const said = signal(/** @type {{ words: string, action?: { label: string, run: () => void }, kind: string } | null} */ (null));
const TOAST_MS = 8_000;

/** Words at the foot of the page, for a short while; `action` is the next step. */
export function toast(words, { action = undefined, kind = 'good' } = {}) {
  said.value = { words, action, kind };
}

/** Stands once in the shell. */
export function Overlays() {
  const question = asked.value;
  const answer = (yes) => { asked.value = null; question.resolve(yes); };
  const note = said.value;
  useEffect(() => {
    if (!note) return undefined;
    const timer = setTimeout(() => { if (said.peek() === note) said.value = null; }, note.action ? TOAST_MS * 2 : TOAST_MS);
    return () => clearTimeout(timer);
  }, [note]);
  return html`
    ${question && html`<${Box} title=${question.title} onClose=${() => answer(false)}
      footer=${html`<${Button} onClick=${() => answer(false)}>${t.cancel}<//><${Button} kind=${question.danger ? 'danger' : 'primary'} onClick=${() => answer(true)}>${question.yes}<//>`}>
      <p>${question.text}</p><//>`}
    <div class="toasts" role="status" aria-live="polite">${note && html`<div class=${`toast ${note.kind}`}>
      <span>${note.words}</span>
      ${note.action && html`<${Button} onClick=${() => { said.value = null; note.action.run(); }}>${note.action.label}<//>`}
      <${IconButton} icon="close" label=${t.close} onClick=${() => { said.value = null; }} /></div>`}</div>`;
}
