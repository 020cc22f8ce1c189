// @ts-check
/**
 * What was not finished, kept in this browser (IndexedDB) beyond a closed tab or a crash, for whoever is signed in.
 * It goes away when they sign out, or when somebody else comes.
 *
 * Of a file we keep what tells it from others, and where the browser gives a handle to it, or the file is small,
 * what brings it back without a question. Where nothing can be kept (private windows of some browsers), nothing is.
 */
import { Item, SMALL } from "./item.js";
import * as tabs from "./tabs.js";
import { page } from "./text.js";

/**
 * @typedef {object} Kept
 * @property {string} key
 * @property {number} user  whose it is
 * @property {string} tab  which tab looks after it
 * @property {string} name
 * @property {number} size
 * @property {number} modified
 * @property {string} path
 * @property {string} url
 * @property {string} print
 * @property {boolean} paused
 * @property {number} sent
 * @property {FileSystemFileHandle | null} handle
 * @property {File | null} file
 */

const STORE = "unfinished";
const AT_ONCE = 6;
const MOST = 64 << 20; // bytes of small files that are kept whole

/** @type {Promise<IDBDatabase | null>} */
const ready = open();
/** @type {Map<string, number>} */
const whole = new Map();
let over = false;
/** @type {Set<string>} */
const awaited = new Set();
/** @type {Map<string, string>} what was last written of each: most changes of an item are none of its record */
const written = new Map();

/** @returns {Promise<IDBDatabase | null>} */
async function open() {
  try {
    const request = indexedDB.open("wharfinger", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    const db = await answer(request);
    await tabs.begin();
    return db;
  } catch (wrong) {
    if (wrong instanceof DOMException) return null; // it keeps nothing: then we do not either
    throw wrong;
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @param {(store: IDBObjectStore) => IDBRequest} act
 * @returns {Promise<any>}  undefined where nothing can be kept
 */
async function withStore(act) {
  const db = await ready;
  if (!db) return undefined;
  try {
    return await answer(act(db.transaction(STORE, "readwrite", { durability: "relaxed" }).objectStore(STORE)));
  } catch (wrong) {
    if (wrong instanceof DOMException) return undefined; // full, or the file to be kept has gone
    throw wrong;
  }
}

/** Remember an item as it is now. @param {Item} item */
export function keep(item) {
  if (over) return;
  const { key, name, size, modified, path, url, print, stage, handle } = item;
  if (stage === "refused" && !url) return drop(item);
  const mark = [url, print, stage === "paused", Boolean(handle)].join();
  if (written.get(key) === mark) return;
  written.set(key, mark);
  if (item.file && !handle && !url && size <= SMALL && sum(whole.values()) + size <= MOST) whole.set(key, size);
  /** @type {Kept} */
  const kept = {
    key, name, size, modified, path, url, print, handle, user: page.user, tab: tabs.me, sent: item.sent,
    paused: stage === "paused", file: whole.has(key) ? item.file : null,
  };
  void withStore((store) => store.put(kept));
}

/** Remember an item no more. @param {Item} item */
export function drop({ key }) {
  whole.delete(key);
  if (written.delete(key)) void withStore((store) => store.delete(key));
}

/** Forget everything, and remember nothing more: whose it was has signed out. */
export async function end() {
  over = true;
  await withStore((store) => store.clear());
}

/**
 * Take over what tabs that are no more have left, now and whenever another one ends.
 * @param {(item: Item, file: File | null) => Promise<void>} take
 */
export async function recall(take) {
  /** @type {Kept[]} */
  const all = (await withStore((store) => store.getAll())) ?? [];
  const living = await tabs.alive();
  /** @type {Promise<void>[]} */
  const taken = [];
  for (const kept of all) {
    if (kept.user !== page.user) void withStore((store) => store.delete(kept.key)); // nobody else's business
    if (kept.user !== page.user || kept.tab === tabs.me) continue;
    if (living.has(kept.tab)) {
      if (!awaited.has(kept.tab)) tabs.whenEnded(kept.tab, () => void recall(take));
      awaited.add(kept.tab);
    } else if (await adopt(kept)) {
      const item = new Item(kept, null);
      const { key, url, print, handle, sent, paused } = kept;
      Object.assign(item, { key, url, print, handle, sent, halted: paused });
      taken.push(take(item, kept.file));
      if (taken.length % AT_ONCE === 0) await Promise.all(taken); // each may ask the server
    }
  }
}

/**
 * Make a record one's own, unless another tab was quicker.
 * @param {Kept} kept
 * @returns {Promise<boolean>}
 */
async function adopt(kept) {
  const db = /** @type {IDBDatabase} */ (await ready);
  const store = db.transaction(STORE, "readwrite").objectStore(STORE);
  const now = /** @type {Kept | undefined} */ (await answer(store.get(kept.key)));
  if (now?.tab !== kept.tab) return false;
  await answer(store.put({ ...now, tab: tabs.me }));
  written.set(kept.key, "");
  if (kept.file) whole.set(kept.key, kept.size);
  return true;
}

/** @param {Iterable<number>} numbers @returns {number} */
function sum(numbers) {
  let all = 0;
  for (const one of numbers) all += one;
  return all;
}
