// @ts-check
/** Brings one file to the server: a small one in one request, a large one resumably, from where it stands. */
import { SMALL, printOf } from "./item.js";
import { Refused, ask, unanswered } from "./transport.js";
import * as tus from "./tus.js";

/**
 * @typedef {import("./item.js").Item} Item
 * @typedef {import("./transport.js").Job} Job
 */

const AGAIN = 3; // times the server may correct our offset before it counts as a failure

/**
 * Send an item's file. Rejects with Refused, or with an AbortError when `signal` fires.
 * @param {Item} item  `url` says where it goes on, where it was begun before
 * @param {{signal: AbortSignal, progress: (sent: number) => void, begun: () => void}} options
 *   `begun` is called when the item has got, or lost, its address
 * @returns {Promise<Job>}
 */
export async function deliver(item, { signal, progress, begun }) {
  const file = /** @type {File} */ (item.file);
  try {
    if (file.size <= SMALL && !item.url) {
      await file.slice(0, 1).arrayBuffer(); // a folder, or a file that was moved, fails here and not half way
      return await put(file, signal, progress);
    }
    return await resume(item, file, signal, progress, begun);
  } catch (wrong) {
    const lost = wrong instanceof Refused && wrong.problem.code === "lost";
    if (wrong instanceof Refused && !lost) throw wrong;
    if (wrong instanceof DOMException && wrong.name === "AbortError") throw wrong;
    // A browser that cannot read the file any more, since it was changed or moved, says "network error".
    if (!(await readable(file))) throw unanswered("unreadable");
    throw wrong;
  }
}

/**
 * @param {File} file
 * @returns {Promise<boolean>}
 */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {File} file
 * @param {AbortSignal} signal
 * @param {(sent: number) => void} progress
 * @returns {Promise<Job>}
 */
async function put(file, signal, progress) {
  const name = encodeURIComponent(file.name.replace(/\p{Cs}/gu, "\ufffd"));
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  const answer = await ask("PUT", `/api/uploads/${name}`, { headers, body: file, signal, progress });
  try {
    return JSON.parse(answer.responseText);
  } catch (wrong) {
    if (wrong instanceof SyntaxError) throw unanswered("strange");
    throw wrong;
  }
}

/**
 * @param {Item} item
 * @param {File} file
 * @param {AbortSignal} signal
 * @param {(sent: number) => void} progress
 * @param {() => void} begun
 * @returns {Promise<Job>}
 */
async function resume(item, file, signal, progress, begun) {
  let at = item.url ? await whereItStands(item, signal, begun) : 0;
  for (let corrected = 0; ; ) {
    if (!item.url) {
      item.print ||= await printOf(file);
      item.url = await tus.create(file, signal);
      at = 0;
      begun();
    }
    if (at >= file.size) return { id: tus.idOf(item.url) };
    progress(at);
    const from = at;
    try {
      at = await tus.append(item.url, file, from, { signal, progress: (sent) => progress(from + sent) });
      if (at <= from) throw unanswered("lost");
    } catch (wrong) {
      if (!(wrong instanceof Refused)) throw wrong;
      const { status } = wrong.problem;
      if (![404, 409, 410, 423].includes(status) || ++corrected > AGAIN) throw wrong;
      at = await whereItStands(item, signal, begun);
    }
  }
}

/**
 * Ask how much of an item is there. Where the server knows it no more it has to start anew, and says so.
 * @param {Item} item
 * @param {AbortSignal} signal
 * @param {() => void} begun
 * @returns {Promise<number>}
 */
async function whereItStands(item, signal, begun) {
  try {
    return await tus.look(item.url, signal);
  } catch (wrong) {
    if (!(wrong instanceof Refused) || ![404, 410].includes(wrong.problem.status)) throw wrong;
    item.url = "";
    item.note = "startsAnew";
    begun();
    return 0;
  }
}
