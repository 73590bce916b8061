// The MQTT broker in the gateway: messages as they pass, topics, what is retained, and who is connected.

import { html, useEffect, useState } from '../vendor/preact.js';
import { call, get, post, query as toQuery } from '../lib/api.js';
import { ago, bytes, duration, number, time } from '../lib/format.js';
import { setQuery } from '../lib/router.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Act, Button, Choice, Frame, Text, Trouble } from '../parts/controls.js';
import { State } from '../parts/icon.js';
import { confirm, Sheet } from '../parts/overlay.js';
import { Tabs } from '../parts/tabs.js';
import { useStatus } from '../parts/use_status.js';

/** Messages kept in the page, and topics. */
const MESSAGES_MAX = 500;
const TOPICS_MAX = 2_000;
const SHOWN = 200;

export default function Broker({ query }) {
  const [full] = useStatus(5_000);
  const operator = may('operator');
  const tabs = [...(operator ? [['live', t.broker.messages]] : []), ['topics', t.broker.topics], ['retained', t.broker.retained], ['clients', t.broker.clients]];
  const tab = tabs.some(([key]) => key === query.tab) ? query.tab : tabs[0][0];
  const broker = full?.broker;
  return html`
    <div class="title"><h1>${t.nav.broker}</h1>${broker && html`<span class="quiet">${t.broker.sums(number(broker.connections), number(broker.retained), broker.listeners.map((l) => l.at).join(', '))}</span>`}</div>
    ${full && !broker && html`<div class="panel empty-state"><p>${t.broker.none}</p><a class="button" href="/config">${t.nav.config}</a></div>`}
    ${broker && html`<${Tabs} label=${t.nav.broker} tabs=${tabs} value=${tab} />
      ${tab === 'live' ? html`<${Live} query=${query} />` : tab === 'topics' ? html`<${List} key="t" path="/broker/topics" query=${query} columns=${topicColumns()} />`
        : tab === 'retained' ? html`<${Retained} query=${query} />` : html`<${Clients} now=${full.gateway.mono_ms} />`}`}`;
}

/** Listens while it is open, in sight and not paused; how much was left out is said. */
function useMessages(filter, on) {
  const [state, setState] = useState(() => ({ messages: /** @type {any[]} */ ([]), topics: new Map(), missed: 0, number: 0 }));
  const [error, setError] = useState(null);
  const [listening, setListening] = useState(false);
  useEffect(() => {
    if (!on) return undefined;
    let source = null;
    let timer = 0;
    let ended = false;
    const take = ({ rows, missed }) => setState((now) => {
      const topics = new Map(now.topics);
      let count = now.number;
      const fresh = rows.map((row) => ({ ...row, number: (count += 1) }));
      for (const row of fresh) {
        const before = topics.get(row.topic);
        topics.delete(row.topic);
        topics.set(row.topic, { ...row, count: (before?.count ?? 0) + 1 });
      }
      while (topics.size > TOPICS_MAX) topics.delete(topics.keys().next().value);
      return { messages: [...now.messages, ...fresh].slice(-MESSAGES_MAX), topics, missed: now.missed + missed, number: count };
    });
    const open = () => {
      if (ended || document.hidden) return;
      source = new EventSource(`/api/v1/broker/listen${toQuery({ filter })}`);
      source.addEventListener('hello', () => { setError(null); setListening(true); });
      source.addEventListener('messages', (event) => take(JSON.parse(event.data)));
      source.onerror = async () => {
        source.close();
        setListening(false);
        // The stream says nothing of why; the same question as a request does.
        const stop = new AbortController();
        timer = window.setTimeout(() => { stop.abort(); open(); }, 3_000);
        try { await get(`/broker/listen${toQuery({ filter })}`, { signal: stop.signal, timeout: 2_000 }); } catch (failed) { if (!stop.signal.aborted && !ended && failed.code !== 'no-answer') setError(failed); }
      };
    };
    const seen = () => { source?.close(); clearTimeout(timer); open(); };
    open();
    document.addEventListener('visibilitychange', seen);
    return () => { ended = true; source?.close(); clearTimeout(timer); setListening(false); document.removeEventListener('visibilitychange', seen); };
  }, [filter, on]);
  return { ...state, error, listening, clear: () => setState({ messages: [], topics: new Map(), missed: 0, number: 0 }) };
}

/** A payload in one line, and whether this is all of it. */
const line = (row) => (row.payload ?? `0x ${row.payload_hex ?? ''}`);

function Live({ query }) {
  const [typed, setTyped] = useState(query.filter ?? '#');
  const filter = query.filter ?? '#';
  const [on, setOn] = useState(true);
  const [way, setWay] = useState('topics');
  const [open, setOpen] = useState(/** @type {string | null} */ (null));
  const { messages, topics, missed, error, listening, clear } = useMessages(filter, on);
  const listen = (event) => { event.preventDefault(); clear(); setQuery({ filter: typed.trim() || '#' }); setOn(true); };
  const rows = way === 'topics' ? [...topics.values()].sort((a, b) => (a.topic < b.topic ? -1 : 1)) : messages.slice().reverse();
  return html`
    <form class="bar tools" onSubmit=${listen}>
      <${Text} label=${t.broker.filter} value=${typed} onInput=${setTyped} hint=${t.broker.filterHint} class="mono" wide error=${error?.field === 'filter' ? error.message : undefined} />
      <${Choice} label=${t.broker.show} value=${way} onChange=${setWay} options=${[['topics', t.broker.byTopic], ['messages', t.broker.inOrder]]} />
      <div class="row-of"><${Button} type="submit">${t.broker.listen}<//>
      <button type="button" class="button" aria-pressed=${!on} onClick=${() => setOn(!on)}>${on ? t.trace.pause : t.trace.goOn}</button></div>
    </form>
    <p class="quiet" role="status">${listening ? t.broker.listening : on ? t.connecting : t.trace.paused} · ${t.broker.heard(number(topics.size))}${missed > 0 ? ` · ${t.broker.missed(number(missed))}` : ''}</p>
    ${error?.field !== 'filter' && html`<${Trouble} error=${error} />`}
    ${rows.length === 0 ? html`<div class="panel empty-state"><p>${t.broker.nothing}</p></div>` : html`
      <ul class="messages">${rows.slice(0, SHOWN).map((row) => html`<li key=${way === 'topics' ? row.topic : row.number}><button type="button" onClick=${() => setOpen(row.topic)}>
        <span class="topic">${row.topic}</span><span class="payload mono">${line(row)}${row.is_cut ? html` <strong>${t.broker.cut(bytes(row.bytes))}</strong>` : ''}</span>
        <small>${time(row.at_wall_ms)}${row.retain ? ` · ${t.broker.retainedMark}` : ''} · QoS ${row.qos}${row.count ? ` · ${t.broker.times(number(row.count))}` : ''}</small></button></li>`)}</ul>
      ${rows.length > SHOWN && html`<p class="quiet">${t.moreLeft(number(rows.length - SHOWN))}</p>`}`}
    ${open && html`<${Topic} topic=${open} last=${topics.get(open)} messages=${messages.filter((m) => m.topic === open)} onClose=${() => setOpen(null)} />`}`;
}

/** JSON as people read it; anything else as it is. */
function pretty(row) {
  if (row.payload == null) return `0x ${row.payload_hex}`;
  try { return row.is_cut ? row.payload : JSON.stringify(JSON.parse(row.payload), null, 2); } catch { return row.payload; }
}

function Topic({ topic, last, messages, onClose }) {
  return html`<${Sheet} title=${topic} onClose=${onClose}>
    ${last && html`<dl class="facts"><dt>${t.broker.newest}</dt><dd>${time(last.at_wall_ms)}</dd><dt>${t.broker.size}</dt><dd>${bytes(last.bytes)}</dd><dt>QoS</dt><dd>${last.qos}${last.retain ? `, ${t.broker.retainedMark}` : ''}</dd><dt>${t.broker.by}</dt><dd>${last.by ?? t.broker.gateway}</dd></dl>
      <pre class="code spaced" tabindex="0">${pretty(last)}</pre>${last.is_cut && html`<p class="note warn">${t.broker.cut(bytes(last.bytes))}</p>`}`}
    <h3 class="spaced">${t.broker.before}</h3>
    <ul class="lines-plain">${messages.slice(-50).reverse().map((m) => html`<li key=${m.number}><span class="quiet">${time(m.at_wall_ms)}</span> <code>${line(m)}</code>${m.is_cut ? ` ${t.broker.cut(bytes(m.bytes))}` : ''}</li>`)}</ul><//>`;
}

const topicColumns = () => [
  [t.broker.topic, (row) => html`<span class="mono wrap">${row.topic}</span>`], [t.broker.count, (row) => number(row.messages), 'number'], [t.broker.newest, (row) => ago(row.age_ms), 'nowrap'],
  [t.broker.size, (row) => bytes(row.bytes), 'number'], [t.broker.by, (row) => row.by ?? t.broker.gateway], [t.broker.subscribers, (row) => number(row.subscribers), 'number'],
];

/** A list of the broker, page by page; `rows` may do something to one row. */
function List({ path, query, columns, tools = undefined, filtered = true, empty = undefined }) {
  const [typed, setTyped] = useState(query?.filter ?? '');
  const filter = query?.filter ?? '';
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [next, setNext] = useState(null);
  const [error, setError] = useState(null);
  const load = async (after) => {
    setError(null);
    try {
      const page = await get(`${path}${toQuery({ filter: filtered ? filter : '', after })}`);
      setRows((before) => [...(after && before ? before : []), ...page.rows]);
      setNext(page.next);
    } catch (failed) { setError(failed); }
  };
  useEffect(() => { load(null); }, [path, filter]);
  return html`
    ${filtered && html`<form class="bar tools" onSubmit=${(e) => { e.preventDefault(); setQuery({ filter: typed.trim() }); }}><${Text} label=${t.broker.filter} value=${typed} onInput=${setTyped} hint=${t.broker.filterHint} placeholder="#" class="mono" wide /><${Button} type="submit">${t.broker.look}<//></form>`}
    <${Trouble} error=${error} onRetry=${() => load(null)} />
    ${rows && (rows.length === 0 ? html`<div class="panel empty-state"><p>${empty ?? t.broker.nothing}</p></div>` : html`<${Frame} label=${t.nav.broker}><table class="plain"><thead><tr>${columns.map(([head, , kind]) => html`<th scope="col" class=${kind === 'number' ? 'number' : ''}>${head}</th>`)}${tools && html`<th scope="col"><span class="visually-hidden">${t.details}</span></th>`}</tr></thead>
      <tbody>${rows.map((row, i) => html`<tr key=${i}>${columns.map(([, cell, kind]) => html`<td class=${kind ?? ''}>${cell(row)}</td>`)}${tools && html`<td>${tools(row, () => load(null))}</td>`}</tr>`)}</tbody></table><//>`)}
    ${next && html`<p class="row-of spaced"><${Button} onClick=${() => load(next)}>${t.broker.moreRows}<//></p>`}`;
}

function Retained({ query }) {
  const columns = [
    [t.broker.topic, (row) => html`<span class="mono wrap">${row.topic}</span>`], [t.broker.payload, (row) => html`<code class="payload">${row.payload ?? `0x ${row.payload_hex ?? ''}`}</code>${(row.payload ?? row.payload_hex ?? '').length < row.bytes ? html` <small>${t.broker.cut(bytes(row.bytes))}</small>` : ''}`],
    [t.broker.age, (row) => ago(row.age_ms), 'nowrap'],
  ];
  const remove = async (row, again) => {
    if (!(await confirm({ title: t.broker.removeTitle, text: row.topic, yes: t.remove, danger: true }))) return;
    await call('DELETE', `/broker/retained${toQuery({ filter: row.topic })}`);
    again();
  };
  const tools = may('operator') ? (row, again) => (row.reserved ? html`<span class="quiet nowrap">${t.broker.own}</span>` : html`<${Act} kind="bare" run=${() => remove(row, again)} aria-label=${`${t.remove}: ${row.topic}`}>${t.remove}<//>`) : undefined;
  return html`<${List} key="r" path="/broker/retained" query=${query} columns=${columns} tools=${tools} />`;
}

function Clients({ now }) {
  const columns = [
    [t.broker.client, (row) => html`<strong class="wrap">${row.id}</strong>${row.user ? html`<br /><small>${row.user}</small>` : ''}`],
    [t.buses.state, (row) => html`<${State} kind=${row.connected ? 'good' : 'off'}>${row.connected ? t.broker.connected : t.broker.away}<//> <small>${duration(row.for_ms ?? Math.max(0, now - row.since))}</small>`],
    [t.broker.from, (row) => html`<span class="mono">${typeof row.address === 'string' ? row.address : JSON.stringify(row.address)}</span><br /><small>MQTT ${row.version}</small>`],
    [t.broker.inOut, (row) => `${number(row.received)} / ${number(row.sent)}`, 'number'], [t.broker.queue, (row) => `${number(row.queue)}${row.dropped ? ` · ${t.broker.droppedCount(number(row.dropped))}` : ''}`, 'number'], [t.broker.subscriptions, (row) => number(row.subscriptions), 'number'],
  ];
  const kick = async (row, again) => {
    if (!(await confirm({ title: t.broker.kickTitle(row.id), text: t.broker.kickText, yes: t.broker.kick, danger: true }))) return;
    await post('/broker/kick', { client: row.id, session: false });
    again();
  };
  const tools = may('operator') ? (row, again) => row.connected && html`<${Act} kind="bare" run=${() => kick(row, again)} aria-label=${`${t.broker.kick}: ${row.id}`}>${t.broker.kick}<//>` : undefined;
  return html`<${List} key="c" path="/broker/clients" columns=${columns} tools=${tools} filtered=${false} empty=${t.broker.noClient} />`;
}
