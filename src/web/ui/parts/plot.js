// A plot over time. uPlot is loaded only where there is one, with its own stylesheet.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { clockTime, number } from '../lib/format.js';
import { t } from '../lib/text.js';
import { Trouble } from './controls.js';

const HEIGHT = 180;
/** Between the times below: what is shown of them is minutes. */
const STEPS_S = [60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800];

/** @type {Promise<any> | null} */
let loading = null;

function load() {
  loading ??= new Promise((resolve, reject) => {
    const sheet = document.createElement('link');
    sheet.rel = 'stylesheet';
    sheet.href = new URL('../vendor/uplot.css', import.meta.url).pathname;
    sheet.onload = () => import('../vendor/uplot.js').then((module) => resolve(module.default), reject);
    sheet.onerror = reject;
    document.head.append(sheet);
  });
  return loading;
}

/** Colours are those of the stylesheet, also after the scheme changed. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `when` puts a time in words where it is not one of the day; `says` is the plot in words. */
export function Plot({ title, at, values, when = /** @type {any} */ (null), says = /** @type {any} */ (null) }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [error, setError] = useState(null);
  const data = useRef([at, values]);
  data.current = [at, values];
  useEffect(() => {
    let ended = false;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    const draw = async () => {
      const Plotter = await load();
      if (ended) return;
      plot.current?.destroy();
      const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') }, font: '12px system-ui' };
      plot.current = new Plotter({
        width: box.current.clientWidth, height: HEIGHT, cursor: { y: false }, legend: { show: false },
        scales: { x: { time: !when }, y: { range: (_, __, high) => [0, Math.max(10, high * 1.1)] } },
        axes: [{ ...axis, space: when ? 100 : 80, incrs: STEPS_S, values: (_, ticks) => ticks.map(when ?? ((s) => clockTime(s * 1000))) }, { ...axis, size: 64, values: (_, ticks) => ticks.map((v) => (v < 1e6 ? number(v) : `${number(v / 1e6, 1)} M`)) }],
        series: [{}, { stroke: colour('--accent'), width: 2, fill: colour('--accent-soft'), spanGaps: false, points: { show: false } }],
      }, data.current, box.current);
    };
    draw().catch(setError);
    const again = () => draw().catch(setError);
    dark.addEventListener('change', again);
    sized.observe(box.current);
    return () => { ended = true; dark.removeEventListener('change', again); sized.disconnect(); plot.current?.destroy(); plot.current = null; };
  }, []);
  useEffect(() => { plot.current?.setData([at, values]); }, [at.at(-1), values.at(-1), at.length]);
  const most = Math.max(...values.filter((v) => v != null));
  const last = values.at(-1);
  return html`<figure class="plot"><figcaption>${title} <span class="quiet">${says ?? t.data.plotSays(number(last, last < 10 && !Number.isInteger(last) ? 1 : 0), number(most), clockTime(at[values.indexOf(most)] * 1000))}</span></figcaption>
    <div ref=${box} aria-hidden="true"></div><${Trouble} error=${error} /></figure>`;
}
