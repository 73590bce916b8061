// Numbers, sizes, durations and times as people of the chosen language write them.

import { language, t } from './text.js';

/** Formats of English are those of Europe: 24 hours, the day first. */
const LOCALES = { en: 'en-GB', de: 'de' };

export const locale = () => LOCALES[language.peek()];

/** @type {Map<string, any>} */
const made = new Map();

/** Making a formatter costs more than a hundred uses of it. */
function once(kind, options, make) {
  const key = language.peek() + kind + JSON.stringify(options);
  if (!made.has(key)) made.set(key, make(locale(), options));
  return made.get(key);
}

export function number(value, digits = 0) {
  if (value == null || !Number.isFinite(value)) return '–';
  const options = { maximumFractionDigits: digits, minimumFractionDigits: digits };
  return once('n', options, (l, o) => new Intl.NumberFormat(l, o)).format(value);
}

/** A reading as the gateway says it, every digit kept; only the decimal sign is the language's. */
export function reading(text) {
  if (text == null) return '–';
  return language.value === 'de' && /^-?\d+\.\d+$/.test(text) ? text.replace('.', ',') : text;
}

const DIGITS = 7;

/** The same for a narrow place: a long number is rounded to seven digits. The whole stands in its title. */
export function rounded(text) {
  if (text == null || text.length <= DIGITS + 2 || !/^-?\d+\.\d+$/.test(text)) return reading(text);
  const whole = text.replace('-', '').indexOf('.');
  return reading(Number(text).toFixed(Math.max(0, DIGITS - whole)));
}

/** A number as typed, with a comma or a point; `null` when it is none. 0 is a number. */
export function typed(text) {
  const plain = String(text).trim().replace(',', '.');
  return plain !== '' && Number.isFinite(Number(plain)) ? Number(plain) : null;
}

export function percent(share, digits = 0) {
  if (share == null) return '–';
  return once('p', { style: 'percent', maximumFractionDigits: digits }, (l, o) => new Intl.NumberFormat(l, o)).format(share);
}

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'];

export function bytes(count) {
  if (count == null) return '–';
  let size = count;
  let step = 0;
  while (size >= 999.5 && step < SIZES.length - 1) { size /= 1000; step += 1; }
  return `${number(size, step > 0 && size < 10 ? 1 : 0)} ${SIZES[step]}`;
}

/** Two units at most: `11 min 58 s`, `3 d 4 h`. Below a second in milliseconds. */
export function duration(ms) {
  if (ms == null) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ''}`;
  const hours = Math.floor(s / 3600);
  if (hours < 48) return `${hours} h${s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ''}`;
  return `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ''}`;
}

/** How long ago, in whole seconds, so that it changes once a second at most. */
export function ago(ms) {
  return ms == null ? '–' : t.ago(ms < 1000 ? '0 s' : duration(ms));
}

export function time(wallMs) {
  if (wallMs == null) return '–';
  return once('t', {}, (l) => new Intl.DateTimeFormat(l, { timeStyle: 'medium' })).format(wallMs);
}

/** Hours and minutes. */
export function clockTime(wallMs) {
  return once('h', {}, (l) => new Intl.DateTimeFormat(l, { timeStyle: 'short' })).format(wallMs);
}

/** `10:41:02.113`: of the bus trace. */
export function precise(wallUs) {
  return `${time(wallUs / 1000)}.${String(Math.floor(wallUs / 1000) % 1000).padStart(3, '0')}`;
}

export function date(wallMs) {
  if (wallMs == null) return '–';
  return once('d', {}, (l) => new Intl.DateTimeFormat(l, { dateStyle: 'medium', timeStyle: 'short' })).format(wallMs);
}

/** `01 03 00 00`: bytes given as digits without spaces. */
export function spaced(hex) {
  return hex.replace(/\s/g, '').replace(/(..)(?=.)/g, '$1 ').toUpperCase();
}
