// @ts-check
/** Brings together what was left unfinished and the files it belongs to. */
import { Item, printOf } from "./item.js";
import * as memory from "./memory.js";
import { Refused } from "./transport.js";
import * as tus from "./tus.js";

/**
 * @typedef {import("./queue.js").Queue} Queue
 * @typedef {FileSystemFileHandle & {queryPermission?: (what: object) => Promise<string>,
 *   requestPermission?: (what: object) => Promise<string>}} Handle
 * @typedef {{file: File, path?: string, handle?: FileSystemFileHandle | null}} Found  a file, and how it was found
 */

const READ = { mode: "read" };

/**
 * Take an item of an earlier visit into the queue: it goes on by itself where its file is at hand.
 * @param {Queue} queue
 * @param {Item} item
 * @param {File | null} file
 */
export async function recall(queue, item, file) {
  await whereItStands(item);
  if (item.url && item.sent >= item.size) {
    memory.drop(item); // its end was reached, only the answer got lost
    return;
  }
  file ??= await readable(item);
  const whole = file && (await same(item, file));
  if (whole) {
    item.file = file;
    item.stage = item.halted ? "paused" : "waiting";
  } else if (file) {
    item.stage = "refused";
    item.problem = { status: 0, code: "changed", detail: "", retryAfter: null };
  }
  queue.add([item]);
}

/** Ask how much of an item is there. @param {Item} item */
async function whereItStands(item) {
  if (!item.url) return;
  try {
    item.sent = await tus.look(item.url);
  } catch (wrong) {
    if (!(wrong instanceof Refused)) throw wrong;
    if (![404, 410].includes(wrong.problem.status)) return; // it is asked again before it goes on
    item.url = "";
    item.sent = 0;
    item.note = "startsAnew";
  }
}

/** @param {Item} item @returns {Promise<File | null>} its file, where the browser may read it without a question */
async function readable({ handle }) {
  const known = /** @type {Handle | null} */ (handle);
  if (!known || (await known.queryPermission?.(READ)) === "prompt") return null;
  return known.getFile().catch(() => null); // moved, deleted, or not allowed: then it has to be chosen again
}

/**
 * Ask for an item's file: the browser for leave to read it again, or the person to choose it.
 * @param {Queue} queue
 * @param {Item} item
 */
export async function find(queue, item) {
  const handle = /** @type {Handle | null} */ (item.handle);
  if (handle && (await handle.requestPermission?.(READ)) !== "denied") {
    const file = await handle.getFile().catch(() => null);
    if (file) return attach(queue, item, file);
  }
  const input = /** @type {HTMLInputElement} */ (document.getElementById("again"));
  input.onchange = () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) void attach(queue, item, file);
  };
  input.click();
}

/**
 * Give an item its file back. Another file, or the same one changed, is sent from the start, and says so.
 * @param {Queue} queue
 * @param {Item} item
 * @param {File} file
 */
async function attach(queue, item, file) {
  if (await same(item, file)) {
    item.file = file;
    queue.resume(item);
    return;
  }
  queue.cancel(item);
  const anew = Item.of(file, item.path);
  anew.handle = item.handle;
  anew.note = "changed";
  queue.add([anew]);
}

/**
 * New files: those that belong to something unfinished go on with it, the rest is sent anew.
 * @param {Queue} queue
 * @param {Found[]} found
 */
export async function take(queue, found) {
  /** @type {Item[]} */
  const anew = [];
  for (const { file, path, handle } of found) {
    const item = Item.of(file, path);
    item.handle = handle ?? null;
    const left = queue.items.filter((one) => one.name === item.name && (!one.file || unreadable(one)));
    const mine = await first(left, (one) => same(one, file));
    if (mine) {
      mine.file = file;
      mine.handle = item.handle;
      queue.resume(mine);
      continue;
    }
    const before = left.filter((one) => one.path === item.path);
    if (before.length) item.note = "changed";
    for (const one of before) if (unreadable(one)) queue.cancel(one);
    anew.push(item);
  }
  queue.add(anew);
}

/**
 * @param {Item} item
 * @param {File} file
 * @returns {Promise<boolean>}
 */
async function same(item, file) {
  if (item.size !== file.size || item.modified !== file.lastModified || item.name !== file.name) return false;
  if (!item.print) return true;
  return (await printOf(file).catch(() => "")) === item.print;
}

/** @param {Item} item @returns {boolean} whether its file changed, or went away, under our hands */
function unreadable({ problem }) {
  return ["unreadable", "changed"].includes(problem?.code ?? "");
}

/**
 * @template T
 * @param {T[]} all
 * @param {(one: T) => Promise<boolean>} fits
 * @returns {Promise<T | undefined>}
 */
async function first(all, fits) {
  for (const one of all) if (await fits(one)) return one;
  return undefined;
}
