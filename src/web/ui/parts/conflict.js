// Two who edit at once: what the other one did, and what shall become of the own edits.

import { html } from '../vendor/preact.js';
import { conflict } from '../lib/draft.js';
import { t } from '../lib/text.js';
import { Button } from './controls.js';
import { Diff } from './diff.js';
import { Box } from './overlay.js';

export function Conflict() {
  const { problem, mine, answer } = conflict.value;
  return html`<${Box} title=${t.conflict.title} onClose=${() => answer(false)}
    footer=${html`<${Button} onClick=${() => answer(false)}>${t.conflict.theirs}<//>
      ${mine && html`<${Button} kind="primary" onClick=${() => answer(true)}>${t.conflict.both}<//>`}`}>
    <p>${problem.reason ?? t.conflict.text}</p>
    ${problem.diff && html`<${Diff} text=${problem.diff} />`}
    <p class="hint">${t.conflict.hint}</p><//>`;
}
