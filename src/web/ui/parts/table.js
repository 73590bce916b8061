// A table of any length: only the rows in sight are in the page. On a narrow screen each row is a
// card of two lines. Arrow keys move, Enter opens.

import { html, signal, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact.js';

const NARROW = matchMedia('(max-width: 760px)');
export const narrow = signal(NARROW.matches);
NARROW.addEventListener('change', () => { narrow.value = NARROW.matches; });

const ROW_WIDE = 40;
const ROW_NARROW = 72;
/** Rows drawn beyond each edge, and the step in which the window moves. */
const BEYOND = 6;
const STEP = 4;

/**
 * `columns`: key, head, cell(row), width (of CSS grid), `narrow`: where it stands on a card: title, value, sub, state, or nowhere.
 * @param {{ label: string, columns: any[], rows: any[], keyOf: (row: any) => string, onOpen?: (row: any) => void, empty?: any, rowClass?: (row: any) => string }} props
 */
export function Table({ label, columns, rows, keyOf, onOpen, empty, rowClass }) {
  const box = useRef(null);
  const small = narrow.value;
  const height = small ? ROW_NARROW : ROW_WIDE;
  const [from, setFrom] = useState(0);
  const [sight, setSight] = useState(40);
  const [current, setCurrent] = useState(0);
  useLayoutEffect(() => {
    const main = document.getElementById('main');
    if (!main) return undefined;
    const look = () => {
      const top = main.getBoundingClientRect().top - box.current.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(top / height) - BEYOND);
      setFrom(first - (first % STEP));
      setSight(Math.ceil(main.clientHeight / height) + 2 * BEYOND + STEP);
    };
    look();
    main.addEventListener('scroll', look, { passive: true });
    const resized = new ResizeObserver(look);
    resized.observe(main);
    return () => { main.removeEventListener('scroll', look); resized.disconnect(); };
  }, [height]);
  const last = Math.max(0, rows.length - 1);
  const at = Math.min(current, last);
  const start = Math.min(from, Math.max(0, rows.length - sight));
  const shown = rows.slice(start, start + sight);
  const focus = (index) => {
    setCurrent(index);
    const main = document.getElementById('main');
    const rowTop = box.current.offsetTop + (index + (small ? 0 : 1)) * height;
    if (rowTop < main.scrollTop + height) main.scrollTop = rowTop - height;
    if (rowTop + height > main.scrollTop + main.clientHeight) main.scrollTop = rowTop + height - main.clientHeight;
    // A row that is not in the page yet takes the focus when it is.
    const row = box.current.querySelector(`[data-at="${index}"]`);
    if (row) row.focus({ preventScroll: true });
    else wanted.current = index;
  };
  const wanted = useRef(-1);
  useEffect(() => {
    if (wanted.current < 0) return;
    const row = box.current.querySelector(`[data-at="${wanted.current}"]`);
    if (row) { wanted.current = -1; row.focus({ preventScroll: true }); }
  });
  const onKey = (event, row, index) => {
    if (event.target !== event.currentTarget) return;
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: last, PageDown: index + 10, PageUp: index - 10 }[event.key];
    if (to !== undefined) { event.preventDefault(); focus(Math.max(0, Math.min(last, to))); }
    else if (event.key === 'Enter' && onOpen) { event.preventDefault(); onOpen(row); }
  };
  const grid = `grid-template-columns:${columns.map((c) => c.width ?? 'minmax(0,1fr)').join(' ')}`;
  return html`<div class=${`table ${small ? 'cards' : ''} ${onOpen ? 'opens' : ''}`} role="grid" aria-label=${label} aria-rowcount=${rows.length + 1} ref=${box}>
    <div class="head" role="row" style=${small ? '' : grid}>${columns.map((c) => html`<div role="columnheader" class=${c.class ?? ''} key=${c.key}>${c.head}</div>`)}</div>
    ${rows.length === 0 && html`<div role="row"><div role="gridcell" class="empty">${empty}</div></div>`}
    <div class="space" role="presentation" style=${`height:${start * height}px`}></div>
    ${shown.map((row, i) => html`<div class=${`row ${rowClass?.(row) ?? ''}`} role="row" key=${keyOf(row)} aria-rowindex=${start + i + 2} data-at=${start + i} tabindex=${start + i === at ? 0 : -1}
        style=${small ? `height:${height}px` : `${grid};height:${height}px`}
        onKeyDown=${(e) => onKey(e, row, start + i)} onFocus=${() => setCurrent(start + i)}
        onClick=${(e) => { if (onOpen && !e.target.closest('a,button,input,label,select') && !getSelection()?.toString()) onOpen(row); }}>
      ${columns.map((c) => html`<div role="gridcell" key=${c.key} class=${`${c.class ?? ''} ${small ? `as-${c.narrow ?? 'none'}` : ''}`}>${c.cell(row)}</div>`)}
    </div>`)}
    <div class="space" role="presentation" style=${`height:${Math.max(0, rows.length - start - shown.length) * height}px`}></div>
  </div>`;
}
