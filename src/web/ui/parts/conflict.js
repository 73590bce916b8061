// Two who edit at once: what the other one did, and what shall become of the own edits.

import { html } from '../vendor/preact.js';
import { conflict, resolve } from '../lib/draft.js';
import { t } from '../lib/text.js';
import { Act } from './controls.js';
import { Diff } from './diff.js';
import { Box } from './overlay.js';

export function Conflict() {
  const { problem, edits } = conflict.value;
  return html`<${Box} title=${t.conflict.title} onClose=${() => resolve(false)}
    footer=${html`<${Act} run=${() => resolve(false)}>${t.conflict.theirs}<//>
      ${edits.length > 0 && html`<${Act} kind="primary" run=${() => resolve(true)}>${t.conflict.both}<//>`}`}>
    <p>${problem.reason ?? t.conflict.text}</p>
    ${problem.diff && html`<${Diff} text=${problem.diff} />`}
    <p class="hint">${t.conflict.hint}</p><//>`;
}
