// A tag as a form has it, and as the configuration has it. Pure.

import { TABLES } from './address.js';
import { typed } from './format.js';

export const TYPES = ['u16', 'i16', 'u32', 'i32', 'f32', 'u64', 'i64', 'f64', 'bool', 'text:8', 'u8-high', 'u8-low', 'i8-high', 'i8-low', 'f16', 'u24', 'i24', 'u48', 'i48', 'bcd16', 'bcd32', 'mod10k:2', 'unix-seconds', 'bits:0..3', ...Array.from({ length: 16 }, (_, n) => `bit:${n}`)];
export const ORDERS = ['ABCD', 'CDAB', 'BADC', 'DCBA'];
export const CLASSES = ['alarm', 'normal', 'bulk'];
export const UNITS = ['V', 'A', 'W', 'kW', 'var', 'VA', 'Wh', 'kWh', 'Hz', '°C', '%', 'bar', 'mbar', 'l/min', 'm³/h', 'm³', 'kg', 't', 'mm', 'm/s', 'rpm', 's', 'h'];

/** Types that hold more than one register, so that the order of bytes matters. */
export const wide = (type) => /^(u|i|f)(24|32|48|64)$|^bcd(32|64)$/.test(type);
export const isNumber = (type) => !/^(bool|bit:|text|raw|ipv4|mac|unix|bcd-time)/.test(type);

const tableOf = (tag) => Object.keys(TABLES).find((table) => tag[table] !== undefined);

/** Keys that the form knows; others of a tag stay as they are. */
const OWN = ['field', 'holding', 'input', 'coil', 'discrete', 'type', 'order', 'unit', 'scale', 'offset', 'every', 'class', 'publish', 'topic', 'write'];

/** @param {any} tag as in the configuration @param {any} device its device, for what it inherits */
export function formOf(name, tag, device) {
  const table = tableOf(tag) ?? 'holding';
  const publish = tag.publish;
  const write = tag.write;
  return {
    name, table,
    field: tag.field ?? '',
    address: tag[table] !== undefined ? String(Number(tag[table])) : '',
    type: tag.type ?? 'bool',
    order: tag.order ?? device?.order ?? 'ABCD',
    unit: tag.unit ?? '',
    scale: tag.scale === undefined ? '1' : String(tag.scale),
    offset: tag.offset === undefined ? '0' : String(tag.offset),
    every: tag.every ?? '',
    class: tag.class ?? '',
    publish: publish === undefined || publish === 'always' ? 'always' : 'changes',
    change: typeof publish === 'object' ? String(publish.change ?? '') : '',
    atLeast: typeof publish === 'object' ? publish['at-least'] ?? '' : '',
    topic: tag.topic ?? '',
    write: write === undefined || write === false ? 'read' : 'write',
    min: typeof write === 'object' ? String(write.min ?? '') : '',
    max: typeof write === 'object' ? String(write.max ?? '') : '',
  };
}

/** A number stays the text it was typed as, unless it is one. */
const numeric = (text) => typed(text) ?? text;

/** The tag for the configuration; what the form does not know is kept of `before`. Defaults are left out. */
export function tagOf(form, device, before = {}) {
  /** @type {any} */
  const tag = {};
  if (form.field) tag.field = form.field;
  else tag[form.table] = numeric(form.address);
  const bits = form.field !== '' || TABLES[form.table].bits;
  if (!bits) tag.type = form.type;
  if (!bits && wide(form.type) && form.order !== (device?.order ?? 'ABCD')) tag.order = form.order;
  if (form.unit) tag.unit = form.unit;
  if (!bits && isNumber(form.type)) {
    if (typed(form.scale) !== 1 && form.scale !== '') tag.scale = numeric(form.scale);
    if (typed(form.offset) !== 0 && form.offset !== '') tag.offset = numeric(form.offset);
  }
  if (form.every) tag.every = form.every;
  if (form.class) tag.class = form.class;
  if (form.publish === 'changes') {
    const change = form.change.trim();
    tag.publish = change || form.atLeast
      ? { ...(change ? { change: change.endsWith('%') ? change : numeric(change) } : {}), ...(form.atLeast ? { 'at-least': form.atLeast } : {}) }
      : 'changes';
  }
  if (form.topic) tag.topic = form.topic;
  if (form.write === 'write') {
    const limits = { ...(typeof before.write === 'object' ? before.write : {}), ...(form.min !== '' ? { min: numeric(form.min) } : {}), ...(form.max !== '' ? { max: numeric(form.max) } : {}) };
    tag.write = Object.keys(limits).length ? limits : true;
  }
  for (const [key, value] of Object.entries(before)) if (!OWN.includes(key)) tag[key] = value;
  return tag;
}

/** The edits from one tag to another, key by key, so that comments between the keys stay. */
export function editsBetween(path, before, after) {
  const edits = [];
  for (const key of Object.keys(before)) if (!(key in after)) edits.push({ op: 'remove', path: [...path, key] });
  for (const [key, value] of Object.entries(after)) {
    if (JSON.stringify(before[key]) !== JSON.stringify(value)) edits.push({ op: 'set', path: [...path, key], value });
  }
  return edits;
}

/** A name that a device or tag may have: letters, digits, `_`, `-`, `.`. */
export const nameOk = (name) => /^[\p{L}\p{N}_.-]{1,64}$/u.test(name);

/** The first of `base`, `base2`, `base3` … that nobody has. */
export function freeName(base, taken) {
  let name = base;
  for (let n = 2; name in taken; n += 1) name = `${base}${n}`;
  return name;
}
