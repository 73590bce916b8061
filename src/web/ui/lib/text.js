// The words of the page, in one language at a time: `t.live.title`, or `t.changes(3)` where a word
// depends on a number. `tsc` knows every key; `text/de.js` must have those of `text/en.js`.

import { signal } from '../vendor/preact.js';

/** @typedef {typeof import('../text/en.js').default} Texts */

const words = signal(/** @type {any} */ ({}));

/**
 * Read through the signal: whoever draws a word draws it anew in another language, and keeps what
 * was typed meanwhile.
 * @type {Texts}
 */
export const t = new Proxy(/** @type {any} */ ({}), { get: (_, key) => words.value[key] });

export const language = signal('en');

export const LANGUAGES = { en: 'English', de: 'Deutsch' };

const KEPT_AS = 'fieldhold.language';

/** The language chosen before, else the first of the browser's that there is. */
function wanted() {
  const kept = read(KEPT_AS);
  const all = kept ? [kept] : navigator.languages.map((name) => name.slice(0, 2));
  return all.find((name) => name in LANGUAGES) ?? 'en';
}

export async function chooseLanguage(name = wanted()) {
  words.value = (name === 'de' ? await import('../text/de.js') : await import('../text/en.js')).default;
  document.documentElement.lang = name;
  keep(KEPT_AS, name);
  language.value = name;
}

/** A text kept in this browser; `null` where it keeps none. */
export function read(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

export function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* a private window: it is not kept */ }
}
