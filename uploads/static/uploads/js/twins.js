// @ts-check
/** Finds out whether a file's content is already among one's own jobs, before it is sent. */
import { Refused, ask } from "./transport.js";

/**
 * @typedef {import("./item.js").Item} Item
 * @typedef {import("./transport.js").Job} Job
 */

const LARGEST = 64 << 20; // bytes up to which reading a file twice is worth it

/** @type {Worker | null | undefined} */
let worker;
/** @type {Map<string, (sha256: string) => void>} */
const waiting = new Map();
/** @type {WeakMap<File, Promise<string>>} */
const digests = new WeakMap();

/**
 * @param {Item} item
 * @returns {Promise<Job | null>}  also null where that cannot be known
 */
export async function twinOf(item) {
  const { file } = item;
  if (!file || !file.size || file.size > LARGEST) return null;
  if (!digests.has(file)) digests.set(file, hash(item.key, file));
  const sha256 = await digests.get(file);
  if (!sha256) return null;
  try {
    const answer = await ask("GET", `/api/jobs?limit=1&sha256=${sha256}`);
    return JSON.parse(answer.responseText).items[0] ?? null;
  } catch (wrong) {
    if (wrong instanceof Refused || wrong instanceof SyntaxError) return null; // sending it meets the same
    throw wrong;
  }
}

/**
 * @param {string} key
 * @param {File} file
 * @returns {Promise<string>}  nothing where it cannot be had
 */
function hash(key, file) {
  worker ??= start();
  if (!worker) return Promise.resolve("");
  worker.postMessage({ key, file });
  return new Promise((resolve) => waiting.set(key, resolve));
}

/** @returns {Worker | null} */
function start() {
  const begun = new Worker(new URL("./hasher.js", import.meta.url), { type: "module" });
  begun.onmessage = ({ data: { key, sha256 } }) => {
    waiting.get(key)?.(sha256);
    waiting.delete(key);
  };
  begun.onerror = () => {
    // A browser without module workers: then files are sent without being compared.
    worker = null;
    for (const done of waiting.values()) done("");
    waiting.clear();
  };
  return begun;
}
