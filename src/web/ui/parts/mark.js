// The name of the product and of this gateway, where the head is not.

import { html } from '../vendor/preact.js';

export function Mark({ gateway }) {
  return html`<p class="mark"><svg width="34" height="34" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" /><path d="M12 7H7v18h5M20 7h5v18h-5" /><circle cx="16" cy="16" r="3.6" /></svg>
    <span><strong>Fieldhold</strong><br />${gateway?.name ?? ''}${gateway?.site ? ` · ${gateway.site}` : ''}</span></p>`;
}
