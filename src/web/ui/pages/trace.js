// The trace of a bus: what went over the line, byte by byte, and what became of it.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { get } from '../lib/api.js';
import { number, percent, precise, spaced } from '../lib/format.js';
import { status } from '../lib/live.js';
import { setQuery } from '../lib/router.js';
import { t } from '../lib/text.js';
import { Check, Filter, Select, Trouble } from '../parts/controls.js';
import { State } from '../parts/icon.js';

const EVERY_MS = 1_000;
/** Exchanges kept in the page, and drawn. */
const KEPT = 2_000;
const SHOWN = 200;

const wordOf = (verdict) => (typeof verdict === 'string' ? verdict : Object.keys(verdict)[0]);

/** What became of an exchange, in words. */
function outcome(verdict) {
  const word = wordOf(verdict);
  if (word === 'ok') return { kind: 'good', words: t.trace.verdicts.ok };
  if (word === 'exception') return { kind: 'warn', words: t.exception(verdict.exception).cause };
  return { kind: 'bad', words: t.trace.verdicts[word] ?? word };
}

const isError = (exchange) => wordOf(exchange.verdict) !== 'ok';

/** What a line of text may be searched by. */
const searchable = (exchange) => `${exchange.device ?? ''} ${exchange.frames.map((frame) => `${frame.unit === null ? '' : `unit ${frame.unit}`} ${frame.text} ${spaced(frame.hex)}`).join(' ')}`.toLowerCase();

/** The exchanges of a bus as they come; paused, what was kept stays as it is. */
function useTrace(bus, paused) {
  const [rows, setRows] = useState(/** @type {any[]} */ ([]));
  const [error, setError] = useState(null);
  const [lost, setLost] = useState(0);
  const at = useRef({ next: 0, trace: 0 });
  useEffect(() => { setRows([]); setLost(0); at.current = { next: 0, trace: 0 }; }, [bus]);
  useEffect(() => {
    if (!bus || paused) return undefined;
    const stop = new AbortController();
    let timer = 0;
    const load = async () => {
      try {
        if (!document.hidden) {
          let page;
          do {
            page = await get(`/buses/${encodeURIComponent(bus)}/trace?since=${at.current.next}`, { signal: stop.signal });
            const anew = at.current.trace !== 0 && page.trace !== at.current.trace;
            const from = anew ? 0 : at.current.next;
            at.current = { next: anew ? 0 : page.next, trace: page.trace };
            if (anew) { setRows([]); continue; }
            if (from > 0) setLost((count) => count + page.lost);
            const fresh = page.exchanges.map((exchange) => ({ ...exchange, search: searchable(exchange) }));
            if (fresh.length) setRows((before) => [...before, ...fresh].slice(-KEPT));
          } while (page.more);
          setError(null);
        }
      } catch (failed) { if (stop.signal.aborted) return; setError(failed); }
      timer = window.setTimeout(load, EVERY_MS);
    };
    load();
    return () => { stop.abort(); clearTimeout(timer); };
  }, [bus, paused]);
  return { rows, error, lost };
}

export default function Trace({ query }) {
  const buses = Object.keys(status.value?.buses ?? {});
  const bus = query.bus ?? buses[0] ?? '';
  const [paused, setPaused] = useState(false);
  const [typed, setTyped] = useState(query.q ?? '');
  const errors = query.errors === '1';
  const { rows, error, lost } = useTrace(bus, paused);
  if (status.value && buses.length === 0) return html`<div class="panel empty-state"><h1>${t.nav.trace}</h1><p>${t.registers.noBus}</p><a class="button primary" href="/buses?new=1">${t.first.addBus}</a></div>`;
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = rows.filter((row) => (!errors || isError(row)) && words.every((word) => row.search.includes(word)));
  const shown = fitting.slice(-SHOWN).reverse();
  const wrong = rows.filter(isError).length;
  const now = status.value?.buses?.[bus];
  const file = (ending) => `/api/v1/buses/${encodeURIComponent(bus)}/trace.${ending}`;
  return html`
    <div class="title"><h1>${t.nav.trace}</h1>${now && html`<span class="quiet">${t.overview.busy(percent(now.busy))}</span>`}
      <a class="button" href=${file('txt')} download>${t.trace.saveText}</a><a class="button" href=${file('pcap')} download>${t.trace.savePcap}</a></div>
    <div class="bar tools">
      <${Select} label=${t.registers.bus} value=${bus} onChange=${(name) => setQuery({ bus: name })} options=${buses.includes(bus) ? buses : [bus, ...buses]} />
      <${Filter} value=${typed} onInput=${(text) => { setTyped(text); setQuery({ q: text }); }} label=${t.trace.filter} />
      <${Check} label=${t.trace.errorsOnly} checked=${errors} onChange=${(on) => setQuery({ errors: on ? 1 : null })} />
      <button type="button" class="button" aria-pressed=${paused} onClick=${() => setPaused(!paused)}>${paused ? t.trace.goOn : t.trace.pause}</button>
    </div>
    <p class="quiet" role="status">${t.trace.count(number(rows.length), number(wrong))}${paused ? ` · ${t.trace.paused}` : ''}${lost > 0 ? ` · ${t.trace.lost(number(lost))}` : ''}</p>
    <${Trouble} error=${error} />
    ${shown.length === 0 ? html`<div class="panel empty-state"><p>${rows.length ? t.live.noneFits : t.trace.none}</p></div>` : html`
      <ol class="trace">${shown.map((exchange) => html`<${Exchange} key=${`${exchange.connection}.${exchange.number}`} exchange=${exchange} />`)}</ol>
      ${fitting.length > SHOWN && html`<p class="quiet">${t.trace.older(number(fitting.length - SHOWN))}</p>`}`}`;
}

const ARROWS = { request: '→', answer: '←', echo: '↺', late: '←', foreign: '·', noise: '·' };

function Exchange({ exchange }) {
  const { kind, words } = outcome(exchange.verdict);
  return html`<li class=${kind}><div class="trace-head"><time class="mono">${precise(exchange.at_us)}</time><strong>${exchange.device ?? ''}</strong>${exchange.purpose !== 'poll' && html`<span class="quiet">${t.trace.purposes[exchange.purpose] ?? exchange.purpose}</span>`}
      <${State} kind=${kind}>${words}<//><span class="quiet">${number(exchange.took_us / 1000, 1)} ms</span></div>
    ${exchange.frames.map((frame, i) => html`<div key=${i} class=${`frame-line ${frame.role}`}><span class="arrow" aria-label=${t.trace.roles[frame.role] ?? frame.role}>${ARROWS[frame.role] ?? '·'}</span><code>${spaced(frame.hex)}</code><span class="quiet">${frame.role === 'request' || frame.role === 'answer' ? '' : `${t.trace.roles[frame.role] ?? frame.role} `}${frame.text}</span></div>`)}
    ${exchange.cut > 0 && html`<p class="quiet">${t.trace.cut(number(exchange.cut))}</p>`}</li>`;
}
