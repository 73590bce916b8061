// Only in the demonstration: the wire to the cloud, the serial line and the press in one's own hands.

import { html, useEffect, useState } from '../vendor/preact.js';
import { get, post } from '../lib/api.js';
import { t } from '../lib/text.js';
import { Act } from './controls.js';

const SWITCHES = ['uplink', 'line', 'device'];

export function Demo() {
  const [now, setNow] = useState(/** @type {any} */ (null));
  useEffect(() => { get('/demo').then(setNow, () => {}); }, []);
  const put = async (name) => {
    // Somebody may have used the keys of the demonstration meanwhile.
    const connected = !(await get('/demo'))[name];
    setNow(await post(`/demo/${name}`, { connected }));
  };
  if (!now) return null;
  return html`<aside class="demo-strip" aria-label=${t.demo.title}><span>${t.demo.title}</span>
    ${SWITCHES.map((name) => html`<${Act} key=${name} kind=${now[name] ? '' : 'primary'} run=${() => put(name)}>${now[name] ? t.demo.cut[name] : t.demo.mend[name]}<//>`)}</aside>`;
}
