// @ts-check
/** What the server hands to the scripts: limits, and the texts in the reader's language. */

/** @type {{user: number, maxSize: number, compareMax: number, texts: Record<string, string>}} */
export const page = JSON.parse(document.getElementById("page-data")?.textContent ?? "{}");

const language = document.documentElement.lang || undefined;

/**
 * A text by its name, its {braces} filled in.
 * @param {string} name
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function text(name, values = {}) {
  return (page.texts[name] ?? name).replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

/**
 * Bytes for a reader, in steps of 1024 as the server counts them.
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  let step = 0;
  while (bytes >= 1024 && step < 4) {
    bytes /= 1024;
    step += 1;
  }
  const digits = step ? 1 : 0;
  const n = bytes.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return text(!step && bytes === 1 ? "size0one" : `size${step}`, { n });
}

/**
 * A file's name fit to be shown: direction marks and control characters, which could disguise it, made visible.
 * @param {string} name
 * @returns {string}
 */
export function shown(name) {
  return name.replace(/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, "\ufffd");
}
