// A bus as a form has it, and as the configuration has it. Pure.

import { typed } from './format.js';

export const BAUDS = [1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200];
export const PARITIES = ['none', 'even', 'odd'];
/** What most devices come with; the standard's own default (19200, even) is one click away. */
const FIRST = { kind: 'serial', port: '', baud: '9600', parity: 'none', stop: '1', framing: 'rtu', host: '', converter: 'tcp' };

/** Keys of the section that the form knows; the others of a bus stay as they are. */
const LINE = ['port', 'baud', 'parity', 'stop-bits'];
const HOST = ['host', 'port', 'framing'];
const KINDS = { 'modbus-rtu': 'serial', 'modbus-ascii': 'serial', 'modbus-tcp': 'tcp' };

/** The word under which the configuration has the link: `modbus-rtu`, `serial` … */
export const kindOf = (bus) => Object.keys(bus ?? {}).find((key) => key.startsWith('modbus-') || key === 'serial') ?? '';

/** `null` for a bus that only the text of the configuration can change (a sensor, UDP, one that dials in). */
export function formOf(bus) {
  if (!bus) return { ...FIRST };
  const word = kindOf(bus);
  const link = bus[word];
  const kind = KINDS[word];
  if (!kind || (kind === 'tcp' && link.host === undefined)) return null;
  if (kind === 'tcp') {
    const port = link.port ?? (link.tls ? 802 : 502);
    return { ...FIRST, kind, host: port === 502 ? String(link.host) : `${bracketed(String(link.host))}:${port}`, converter: link.framing ?? 'tcp' };
  }
  return { ...FIRST, kind, framing: word.slice(7), port: String(link.port), baud: String(link.baud), parity: link.parity ?? 'even', stop: String(link['stop-bits'] ?? 1) };
}

const bracketed = (host) => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host);

/** `plc`, `plc:1502`, `[fe80::7]:1502`; `null` when it is none of these. */
export function hostAndPort(text) {
  const plain = text.trim();
  const found = /^(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?$/.exec(plain) ?? (/^[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(plain) ? [plain, plain] : null);
  if (!found) return null;
  const port = found[2] === undefined ? undefined : Number(found[2]);
  return port !== undefined && (port < 1 || port > 65_535) ? null : { host: found[1].replace(/^\[|\]$/g, ''), port };
}

/** The link for the configuration; what the form does not know is kept of `before`. */
export function linkOf(form, before = {}) {
  const own = form.kind === 'serial' ? LINE : HOST;
  const kept = Object.fromEntries(Object.entries(before).filter(([key]) => !own.includes(key)));
  if (form.kind === 'serial') {
    const line = { port: form.port.trim(), baud: typed(form.baud) ?? form.baud, parity: form.parity, ...(form.stop === '1' ? {} : { 'stop-bits': Number(form.stop) }) };
    return { word: `modbus-${form.framing}`, link: { ...line, ...kept } };
  }
  const to = hostAndPort(form.host) ?? { host: form.host.trim(), port: undefined };
  return { word: 'modbus-tcp', link: { host: to.host, ...(to.port === undefined ? {} : { port: to.port }), ...(form.converter === 'tcp' ? {} : { framing: form.converter }), ...kept } };
}

/** `9600 8N1` as a scan tells the settings that it found; `null` for what is no line. */
export function settingsOf(text) {
  const found = /(\d+)(?: baud)? [78]([NEO])([12])$/.exec(text ?? '');
  return found && { baud: found[1], parity: { N: 'none', E: 'even', O: 'odd' }[found[2]], stop: found[3] };
}
