// At a glance: what needs a look, and where the data is.

import { html } from '../vendor/preact.js';
import { bytes, duration, number, percent } from '../lib/format.js';
import { clock, status, tags, tagsLoaded } from '../lib/live.js';
import { changeCount } from '../lib/draft.js';
import { may } from '../lib/session.js';
import { t } from '../lib/text.js';
import { Tiles } from '../parts/tiles.js';
import { Shape, State } from '../parts/icon.js';
import { busState, storeState, uplinkState } from '../parts/states.js';
import { quality } from '../parts/values.js';

/** Qualities of all tags, counted once a second without a subscription to each. */
function tally() {
  void clock.value;
  const count = { good: 0, warn: 0, bad: 0, off: 0 };
  /** @type {Map<string, { device: string, q: string, count: number, first: string }>} */
  const troubles = new Map();
  for (const tag of tags.value) {
    const { q } = tag.now.peek();
    const { kind } = quality(q);
    count[kind] += 1;
    if (kind !== 'bad') continue;
    const key = `${tag.device} ${q}`;
    const known = troubles.get(key);
    if (known) known.count += 1;
    else troubles.set(key, { device: tag.device, q, count: 1, first: tag.tag });
  }
  return { count, troubles: [...troubles.values()] };
}

export default function Overview() {
  const now = status.value;
  if (!now) return html`<p class="quiet" role="status">${t.loading}</p>`;
  const { count, troubles } = tally();
  const buses = Object.entries(now.buses);
  const uplinks = Object.entries(now.uplinks);
  return html`
    <div class="title"><h1>${t.nav.overview}</h1><${Tally} count=${count} /></div>
    ${(buses.length === 0 || (tagsLoaded.value && tags.value.length === 0)) && may('operator') && html`<${First} buses=${buses} />`}
    <${Attention} now=${now} troubles=${troubles} />
    <div class="columns">
      <section class="panel"><header><h2>${t.nav.buses}</h2><a href="/buses">${t.details}</a></header>
        ${buses.length === 0 ? html`<p class="quiet">${t.head.noBus}</p>` : html`<ul class="lines of-buses">${buses.map(([name, bus]) => {
          const { kind, word } = busState(bus);
          return html`<li key=${name}><a href=${`/buses/${encodeURIComponent(name)}`}><strong class="clip">${name}</strong></a><${State} kind=${kind}>${word}<//><span class="quiet">${t.overview.devices(bus.devices ?? 0, bus.silent ?? 0)}</span><span class="quiet">${t.overview.busy(percent(bus.busy))}</span></li>`;
        })}</ul>`}
      </section>
      <section class="panel"><header><h2>${t.nav.uplinks}</h2><a href="/uplinks">${t.overview.where}</a></header>
        ${uplinks.length === 0 ? html`<p class="quiet">${t.head.noUplink}</p>` : html`<ul class="lines">${uplinks.map(([name, uplink]) => {
          const { kind, word } = uplinkState(uplink);
          return html`<li key=${name}><strong class="clip">${name}</strong><${State} kind=${kind}>${word}<//><span class="quiet">${t.waiting(number(uplink.waiting))}</span></li>
            ${uplink.read != null && html`<li class="account">${t.overview.account(number(uplink.read), number(uplink.delivered), number(uplink.waiting), number(uplink.dropped), uplink.excluded ? number(uplink.excluded) : '')}</li>`}`;
        })}</ul>`}
        <${Store} store=${now.store} />
      </section>
    </div>
    <${Tiles} />`;
}

/** How many values are good, uncertain, bad; those that are not lead to their list. */
function Tally({ count }) {
  if (count.good + count.warn + count.bad + count.off === 0) return null;
  return html`<ul class="tally" aria-label=${t.overview.values}>${['good', 'warn', 'bad'].map((kind) => html`<li key=${kind}><a href=${kind === 'good' ? '/live' : '/live?bad=1'} class=${count[kind] ? kind : 'off'}><${Shape} kind=${count[kind] ? kind : 'off'} /><strong>${number(count[kind])}</strong> ${t.quality[kind]}</a></li>`)}</ul>`;
}

function Store({ store }) {
  if (!store) return null;
  const share = store.limit ? store.bytes / store.limit : 0;
  const { kind, word } = storeState(store);
  return html`<div class="store-line"><p><span>${t.overview.store}</span> <${State} kind=${kind}>${word}<//>
      <span class="quiet">${t.of(bytes(store.bytes), bytes(store.limit))}${store.full_in_s != null ? ` · ${t.fullIn(duration(store.full_in_s * 1000))}` : ''}</span></p>
    <div class=${`meter ${share > 0.9 ? 'bad' : share > 0.7 ? 'warn' : ''}`} role="img" aria-label=${percent(share, 1)}><div style=${`width:${Math.max(0.4, share * 100)}%`}></div></div></div>`;
}

/** What needs a look, with its cause and the next step; a calm line when nothing does. */
function Attention({ now, troubles }) {
  const down = Object.entries(now.buses).filter(([, bus]) => bus.state === 'down');
  const away = Object.entries(now.uplinks).filter(([, uplink]) => uplink.state === 'offline');
  const items = [
    ...down.map(([name, bus]) => ({ key: `b${name}`, kind: 'bad', href: `/buses/${encodeURIComponent(name)}`, what: t.head.busDown(name), why: bus.reason ?? '', next: t.overview.lookAtBus })),
    ...away.map(([name, uplink]) => ({ key: `u${name}`, kind: 'bad', href: '/uplinks', what: `${name}: ${t.uplink.offline}`, why: uplink.reason ?? t.uplinkCauses[uplink.cause] ?? uplink.cause ?? '', next: t.overview.nothingLost(number(uplink.waiting)) })),
    // A bus that is down explains its tags.
    ...troubles.filter(({ q }) => q !== 'bad:link-down').map(({ device, q, count, first }) => {
      const { cause, next } = quality(q);
      return { key: device + q, kind: 'bad', href: `/live?q=${encodeURIComponent(device)}&bad=1`, what: count === 1 ? `${device} / ${first}` : t.overview.valuesOf(count, device), why: cause, next };
    }),
  ];
  if (now.store && storeState(now.store).kind !== 'good') items.push({ key: 'store', kind: storeState(now.store).kind, href: '/uplinks', what: t.overview.store, why: storeState(now.store).word, next: t.overview.lookAtStore });
  if (items.length === 0) {
    if (tags.value.length === 0) return null;
    return html`<p class="calm note good"><${Shape} kind="good" /> <strong>${t.overview.allGood}</strong> ${t.overview.allGoodText}</p>`;
  }
  const SHOWN = 6;
  return html`<section class="panel attention" aria-labelledby="attention"><header><h2 id="attention">${t.overview.attention}</h2></header>
    <ul>${items.slice(0, SHOWN).map((item) => html`<li key=${item.key}><a href=${item.href}><${Shape} kind=${item.kind} /><span><strong>${item.what}</strong> <span>${item.why}</span><br /><small>${item.next}</small></span></a></li>`)}
    ${items.length > SHOWN && html`<li class="quiet">${t.moreLeft(items.length - SHOWN)}</li>`}</ul></section>`;
}

/** The way from the box to the first value. */
function First({ buses }) {
  const changed = changeCount.value > 0;
  return html`<section class="panel"><h2>${t.first.title}</h2><ol class="steps">
    <li class=${buses.length ? 'done' : ''}><div><strong>${t.first.bus}</strong><br /><span class="quiet">${t.first.busText}</span></div>${!buses.length && html`<a class="button primary" href="/buses?new=1">${t.first.addBus}</a>`}</li>
    <li><div><strong>${t.first.map}</strong><br /><span class="quiet">${t.first.mapText}</span></div>${buses.length > 0 && html`<a class="button primary" href="/registers">${t.first.openRegisters}</a>`}</li>
    <li><div><strong>${t.first.apply}</strong><br /><span class="quiet">${t.first.applyText}</span></div>${changed && html`<a class="button primary" href="/changes">${t.first.review}</a>`}</li>
  </ol></section>`;
}
