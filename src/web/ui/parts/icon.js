// Small drawings: shapes of states, and those of the navigation. All of one stroke.

import { html } from '../vendor/preact.js';

const PATHS = {
  overview: 'M4 13h6V4H4zM14 20h6v-9h-6zM14 4v3h6V4zM4 20h6v-3H4z',
  live: 'M3 12h4l3-7 4 14 3-7h4',
  buses: 'M4 7h16M4 17h16M8 7v10M16 7v10M12 3v4M12 17v4',
  scan: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5',
  registers: 'M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14',
  mapping: 'M4 6h5v5H4zM15 13h5v5h-5zM9 8.5h4a2 2 0 0 1 2 2v5',
  trace: 'M3 7h18M3 7l4-3M3 7l4 3M21 17H3M21 17l-4-3M21 17l-4 3',
  changes: 'M5 4v16M5 8h8a4 4 0 0 1 4 4v1M13 14l4 4 4-4',
  uplinks: 'M7 18a4 4 0 0 1-.5-8A6 6 0 0 1 18 9a4.5 4.5 0 0 1 0 9M12 21v-9M8.5 15l3.5-3.5 3.5 3.5',
  broker: 'M5 5h14v6H5zM5 13h14v6H5zM8 8h.01M8 16h.01',
  config: 'M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3',
  profiles: 'M4 6h16v12H4zM8 10h4M8 14h8',
  users: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-4 2.5-6 6-6s6 2 6 6M16 5a3 3 0 0 1 0 6M17 14c2.5.5 4 2.5 4 6',
  system: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M5.6 18.4l2.1-2.1M16.3 7.7l2.1-2.1',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  close: 'M6 6l12 12M18 6L6 18',
  add: 'M12 5v14M5 12h14',
  right: 'M9 5l7 7-7 7',
  left: 'M15 5l-7 7 7 7',
  down: 'M5 9l7 7 7-7',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.5l3 2',
  edit: 'M4 20l1-4L16 5l3 3L8 19z',
  remove: 'M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13',
  out: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM5 20c0-4 3-6 7-6s7 2 7 6',
};

/** @param {{ name: keyof typeof PATHS, size?: number }} props */
export function Icon({ name, size = 20 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}

const SHAPES = {
  good: html`<circle cx="7" cy="7" r="5" />`,
  warn: html`<path d="M7 1.5 13.2 12.5H.8z" />`,
  bad: html`<path d="M3.5 1 7 4.5 10.5 1 13 3.5 9.5 7 13 10.5 10.5 13 7 9.5 3.5 13 1 10.5 4.5 7 1 3.5z" />`,
  busy: html`<circle cx="7" cy="7" r="4.5" class="hollow" stroke-dasharray="4 3" />`,
  off: html`<circle cx="7" cy="7" r="4.5" class="hollow" />`,
  info: html`<path d="M7 .8 13.2 7 7 13.2.8 7z" />`,
};

/** A shape that says a state without its colour. */
export function Shape({ kind }) {
  return html`<svg class=${`shape ${kind}`} width="12" height="12" viewBox="0 0 14 14" aria-hidden="true" focusable="false">${SHAPES[kind]}</svg>`;
}

/** A state: shape, word and colour together, never one alone. */
export function State({ kind, children, title = undefined }) {
  return html`<span class=${`state ${kind}`} title=${title}><${Shape} kind=${kind} /><span>${children}</span></span>`;
}
