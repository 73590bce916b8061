// Requests to the gateway. Whatever goes wrong becomes a `Problem`: a cause and a next step.

import { signal } from '../vendor/preact.js';
import { language, t } from './text.js';

const BASE = '/api/v1';
const TIMEOUT_MS = 20_000;

/** Set when the gateway says that nobody is signed in any more; the shell asks for the password. */
export const signedOut = signal(false);

/** @typedef {{ code: string, title?: string, reason?: string, hint?: string, field?: string, status?: number, [more: string]: any }} Said */

/** An answer that says no, or none at all. */
export class Problem extends Error {
  /** @param {Said} said */
  constructor(said) {
    super(said.reason ?? said.title ?? said.code);
    this.said = said;
    this.code = said.code;
    this.field = said.field;
  }
}

/**
 * @param {string} method
 * @param {string} path below /api/v1
 * @param {{ body?: any, text?: string, type?: string, etag?: string, signal?: AbortSignal, timeout?: number }} [with_]
 */
export async function call(method, path, { body, text, type, etag, signal: stop, timeout = TIMEOUT_MS } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (text !== undefined) headers['Content-Type'] = type ?? 'text/plain';
  if (etag) headers['If-Match'] = etag;
  const late = AbortSignal.timeout(timeout);
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method,
      headers,
      credentials: 'same-origin',
      body: body !== undefined ? JSON.stringify(body) : text,
      signal: stop ? AbortSignal.any([late, stop]) : late,
    });
  } catch (error) {
    if (stop?.aborted) throw error;
    throw new Problem({ code: late.aborted ? 'gateway-silent' : 'no-connection' });
  }
  return answer.ok ? read(answer) : refuse(answer, path);
}

async function read(answer) {
  if (answer.status === 204) return null;
  const type = answer.headers.get('content-type') ?? '';
  try {
    return type.includes('json') ? await answer.json() : await answer.text();
  } catch {
    throw new Problem({ code: 'cut-off', status: answer.status });
  }
}

async function refuse(answer, path) {
  let said = null;
  try { said = await answer.json(); } catch { /* no JSON: told by its status */ }
  if (!said || typeof said.code !== 'string') said = { code: `http-${answer.status}` };
  said.status = answer.status;
  if (answer.status === 401 && path !== '/session') signedOut.value = true;
  throw new Problem(said);
}

export const get = (path, with_) => call('GET', path, with_);
export const post = (path, body, with_) => call('POST', path, { body, ...with_ });

/** Path segments of names that people chose. */
export const seg = encodeURIComponent;

/** `?a=1&b=2` of what is there; 0 and false are. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value != null && value !== '');
  return given.length ? `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : '';
}

/** As many as the gateway gives at once. */
const PAGE_ROWS = 5_000;

/** All pages of a list, up to `most` rows. */
export async function pages(path, most = 100_000) {
  const rows = [];
  let after = null;
  do {
    const page = await get(`${path}${path.includes('?') ? '&' : '?'}limit=${PAGE_ROWS}${after == null ? '' : `&after=${seg(after)}`}`);
    rows.push(...page.rows);
    after = page.next ?? null;
  } while (after != null && rows.length < most);
  return { rows, more: after != null };
}

/**
 * What to tell of an error: title, cause and next step, in the page's language where it knows the code.
 * @param {any} error
 */
export function explain(error) {
  const said = error instanceof Problem ? error.said : { code: 'page-error', reason: String(error?.message ?? error) };
  const known = t.problems[said.code] ?? (/^http-5/.test(said.code) ? t.problems['http-5xx'] : null);
  return {
    code: said.code,
    title: known?.title ?? said.title ?? t.problems.unknown.title,
    reason: said.reason ?? known?.reason ?? said.title ?? t.problems.unknown.reason,
    // The gateway speaks English; its hint fits better than the general one to those who read it.
    hint: (language.peek() === 'en' ? said.hint ?? known?.hint : known?.hint ?? said.hint) ?? t.problems.unknown.hint,
    problems: said.problems ?? [],
    field: said.field,
    diff: said.diff ?? null,
  };
}
