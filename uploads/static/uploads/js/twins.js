// @ts-check
/** Finds out whether a file's content is already among one's own jobs, before it is sent. */
import { page } from "./text.js";
import { Refused, ask } from "./transport.js";

/**
 * @typedef {import("./item.js").Item} Item
 * @typedef {import("./transport.js").Job} Job
 */

const MOST = 50; // files of one question: its address must pass any proxy

/** @type {Worker | null | undefined} */
let worker;
/** @type {Map<string, (sha256: string) => void>} */
const waiting = new Map();
/** @type {WeakMap<File, Promise<string>>} */
const digests = new WeakMap();
/** @type {Map<string, ((job: Job | null) => void)[]>} who wants to know of a digest, with the next question */
const wanted = new Map();
let asking = false;

/**
 * @param {Item} item
 * @returns {Promise<Job | null>}  also null where that cannot be known
 */
export async function twinOf(item) {
  const { file } = item;
  if (!file || !file.size || file.size > page.compareMax) return null;
  if (!digests.has(file)) digests.set(file, hash(item.key, file));
  const sha256 = await digests.get(file);
  if (!sha256) return null;
  return new Promise((resolve) => {
    wanted.set(sha256, [...(wanted.get(sha256) ?? []), resolve]);
    void lookUp();
  });
}

/** Ask for what is wanted, all at once; what is wanted meanwhile comes next. */
async function lookUp() {
  if (asking) return;
  asking = true;
  while (wanted.size) {
    const asked = [...wanted].slice(0, MOST);
    for (const [sha256] of asked) wanted.delete(sha256);
    const found = await jobsWith(asked.map(([sha256]) => sha256));
    for (const [sha256, answers] of asked) {
      for (const answer of answers) answer(found.find((job) => job.sha256 === sha256) ?? null);
    }
  }
  asking = false;
}

/**
 * @param {string[]} digests
 * @returns {Promise<Job[]>}  one's own newest jobs with any of these
 */
async function jobsWith(digests) {
  try {
    const answer = await ask("GET", `/api/jobs?limit=100&sha256=${digests.join("&sha256=")}`);
    return JSON.parse(answer.responseText).items;
  } catch (wrong) {
    if (wrong instanceof Refused || wrong instanceof SyntaxError) return []; // sending it meets the same
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
