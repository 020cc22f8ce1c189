// @ts-check
/** The client's half of tus 1.0.0 (https://tus.io/protocols/resumable-upload): create, look, append, end. */
import { ask, unanswered } from "./transport.js";

/** @typedef {import("./transport.js").Sending} Sending */

const DOOR = "/api/tus/";
const VERSION = { "Tus-Resumable": "1.0.0" };

/** @param {string} value @returns {string} its UTF-8 in base64 */
function base64(value) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(value)));
}

/**
 * Announce an upload.
 * @param {File} file
 * @param {AbortSignal} signal
 * @returns {Promise<string>}  its address
 */
export async function create(file, signal) {
  const metadata = [`filename ${base64(file.name)}`];
  if (file.type) metadata.push(`filetype ${base64(file.type)}`);
  const headers = { ...VERSION, "Upload-Length": String(file.size), "Upload-Metadata": metadata.join() };
  const answer = await ask("POST", DOOR, { headers, signal });
  const place = answer.getResponseHeader("Location");
  if (!place) throw unanswered("strange");
  return new URL(place, new URL(DOOR, location.href)).pathname;
}

/**
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @returns {Promise<number>}  bytes the server has; all of them: its job is queued
 */
export async function look(url, signal) {
  return offset(await ask("HEAD", url, { headers: VERSION, signal }));
}

/**
 * Send all that is missing in one request.
 * @param {string} url
 * @param {File} file
 * @param {number} from  bytes the server has
 * @param {Sending} options
 * @returns {Promise<number>}  bytes the server has now
 */
export async function append(url, file, from, { signal, progress }) {
  const type = "application/offset+octet-stream";
  const headers = { ...VERSION, "Upload-Offset": String(from), "Content-Type": type };
  return offset(await ask("PATCH", url, { headers, body: file.slice(from), signal, progress }));
}

/** Take an upload back, with what was sent of it. @param {string} url */
export async function end(url) {
  await ask("DELETE", url, { headers: VERSION });
}

/** @param {string} url @returns {string} the id of its job */
export function idOf(url) {
  return url.replace(/\/$/, "").split("/").pop() ?? "";
}

/** @param {XMLHttpRequest} answer @returns {number} */
function offset(answer) {
  const said = answer.getResponseHeader("Upload-Offset");
  if (said === null) throw unanswered("strange");
  return Number(said);
}
