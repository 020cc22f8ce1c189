// @ts-check
/** What the server hands to the scripts: limits, and the texts in the reader's language. */

/** @type {{maxSize: number, texts: Record<string, string>}} */
export const page = JSON.parse(document.getElementById("page-data")?.textContent ?? "{}");

const language = document.documentElement.lang || undefined;
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

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
  while (bytes >= 1024 && step < UNITS.length - 1) {
    bytes /= 1024;
    step += 1;
  }
  return new Intl.NumberFormat(language, {
    style: "unit", unit: UNITS[step], unitDisplay: step ? "short" : "long",
    minimumFractionDigits: step ? 1 : 0, maximumFractionDigits: step ? 1 : 0,
  }).format(bytes);
}

/**
 * A file's name fit to be shown: direction marks and control characters, which could disguise it, made visible.
 * @param {string} name
 * @returns {string}
 */
export function shown(name) {
  return name.replace(/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, "\ufffd");
}
