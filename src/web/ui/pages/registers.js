// The register browser: read registers, see every interpretation side by side, or type what the
// device's display shows and let the value be found. Nothing is ever picked by itself.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { post } from '../lib/api.js';
import { parseAddress, TABLES, WAYS } from '../lib/address.js';
import { busNames, busTarget, needDraft } from '../lib/draft.js';
import { number, spaced, typed } from '../lib/format.js';
import { setQuery } from '../lib/router.js';
import { read as kept, keep, t } from '../lib/text.js';
import { Button, Choice, Select, Text, Trouble } from '../parts/controls.js';
import { Find } from '../parts/find.js';
import { RegisterTable } from '../parts/register_table.js';
import { TagEditor } from '../parts/tag_editor.js';

const AGAIN_MS = 1_000;
const READ_TIMEOUT_MS = 60_000;
const COUNT_MAX = 125;
const BITS_MAX = 2_000;

export default function Registers({ query }) {
  const names = busNames.value;
  const bus = query.bus ?? names[0] ?? '';
  const [unit, setUnit] = useState(query.unit ?? '1');
  const [table, setTable] = useState(query.table ?? 'holding');
  const [way, setWay] = useState(kept('fieldhold.addresses') ?? '0');
  const [start, setStart] = useState(query.start ?? '0');
  const [count, setCount] = useState(query.count ?? '24');
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [again, setAgain] = useState(false);
  const [wrong, setWrong] = useState(/** @type {any} */ ({}));
  const [picked, setPicked] = useState(null);
  const running = useRef(false);

  useEffect(() => { needDraft().catch(() => {}); }, []);

  const read = async () => {
    const at = parseAddress(start, way, table);
    const many = typed(count);
    const who = typed(unit);
    const most = TABLES[at?.table ?? table].bits ? BITS_MAX : COUNT_MAX;
    const problems = {
      ...(at ? {} : { start: t.registers.badAddress }),
      ...(many >= 1 && many <= most && Number.isInteger(many) ? {} : { count: t.registers.badCount(most) }),
      ...(who !== null && Number.isInteger(who) && who >= 0 && who <= 255 ? {} : { unit: t.registers.badUnit }),
    };
    setWrong(problems);
    if (Object.keys(problems).length || running.current) return;
    running.current = true;
    setBusy(true);
    const from = at.table ?? table;
    if (from !== table) setTable(from);
    setQuery({ bus, unit: who, table: from, start, count: many });
    try {
      const said = await post('/probe', { ...busTarget(bus), unit: who, table: from, address: at.address, count: many, wide: true }, { timeout: READ_TIMEOUT_MS });
      setAnswer({ ...said, table: from, bus, unit: who });
      setError(null);
    } catch (failed) {
      setError(failed);
      setAgain(false);
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  // Who comes from the scan has said which unit: it is read at once.
  useEffect(() => { if (query.unit !== undefined && bus) read(); }, [bus !== '']);
  const newest = useRef(read);
  newest.current = read;
  useEffect(() => {
    if (!again) return undefined;
    const timer = setInterval(() => { if (!document.hidden) newest.current(); }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [again]);
  const submit = (event) => { event.preventDefault(); read(); };
  const pick = (source) => setPicked({ bus, unit: typed(unit), ...source });

  if (names.length === 0) {
    return html`<div class="panel empty-state"><h1>${t.nav.registers}</h1><p>${t.registers.noBus}</p><a class="button primary" href="/buses?new=1">${t.first.addBus}</a></div>`;
  }
  return html`
    <div class="title"><h1>${t.nav.registers}</h1></div>
    <form class="panel ask" onSubmit=${submit}>
      <div class="bar">
        <${Select} label=${t.registers.bus} value=${bus} onChange=${(name) => { setQuery({ bus: name }); setAnswer(null); }} options=${names} />
        <${Text} label=${t.registers.unit} value=${unit} onInput=${setUnit} inputmode="numeric" error=${wrong.unit} />
        <${Select} label=${t.registers.table} value=${table} onChange=${setTable} options=${Object.entries(TABLES).map(([name, of]) => [name, t.registers.tableWords(t.tables[name], of.function)])} />
        <${Text} label=${t.registers.start} value=${start} onInput=${setStart} error=${wrong.start} />
        <${Text} label=${t.registers.count} value=${count} onInput=${setCount} inputmode="numeric" error=${wrong.count} />
        <div class="row-of"><${Button} type="submit" kind="primary" busy=${busy && !again}>${t.registers.read}<//>
        <button type="button" class="button" aria-pressed=${again} onClick=${() => { setAgain(!again); if (!again) read(); }}>${t.registers.everySecond}</button></div>
      </div>
    </form>
    <${Find} bus=${bus} unit=${typed(unit)} way=${way} onPick=${pick} />
    <${Trouble} error=${error} onClose=${() => setError(null)} />
    ${answer && html`<section class="panel">
      <p class="wire"><span>${number(answer.took_ms, 1)} ms</span>
        <span>${t.registers.sent} <code class="clip" title=${spaced(answer.sent ?? '')}>${spaced(answer.sent ?? '')}</code></span>
        <span>${t.registers.received} <code class="clip" title=${spaced(answer.received ?? '')}>${spaced(answer.received ?? '')}</code></span>
        <a href=${`/trace?bus=${encodeURIComponent(bus)}`}>${t.registers.inTrace}</a></p>
      <${RegisterTable} ways=${html`<${Choice} label=${t.registers.addressAs} value=${way} onChange=${(next) => { setWay(next); keep('fieldhold.addresses', next); }} options=${WAYS.map((name) => [name, t.registers.ways[name]])} />`} answer=${answer} way=${way} onPick=${(source) => pick({ table: answer.table, ...source })} /></section>`}
    ${!answer && !error && html`<p class="quiet">${t.registers.hint}</p>`}
    ${picked && html`<${TagEditor} source=${picked} onClose=${() => setPicked(null)} />`}`;
}
