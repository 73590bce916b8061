// Keys of the whole page: `/` goes to the filter. Esc and the return of the focus are the dialogs' own.

const WRITES = 'input, textarea, select, [contenteditable]';

export function watchKeys() {
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest?.(WRITES) || document.querySelector('dialog[open]')) return;
    const filter = /** @type {HTMLInputElement | null} */ (document.querySelector('[data-filter]'));
    if (!filter) return;
    event.preventDefault();
    filter.focus();
    filter.select();
  });
}
