// @ts-check
/**
 * One request to the server. XMLHttpRequest, since fetch does not tell how much was sent.
 *
 * @typedef {{id: string, filename?: string, sha256?: string}} Job
 * @typedef {object} Problem  Why a file was not taken.
 * @property {number} status  HTTP status; 0 where there was no answer.
 * @property {string} code  The stable code of problem+json, "lost", "unreadable", "changed" or "strange".
 * @property {string} detail  A sentence from the server, or nothing.
 * @property {number | null} retryAfter  Seconds the server asks to wait.
 *
 * @typedef {object} Sending
 * @property {Record<string, string>} [headers]
 * @property {Blob | null} [body]
 * @property {AbortSignal} [signal]
 * @property {(sent: number) => void} [progress]  Called with the bytes of the body that have left.
 */

import { page } from "./text.js";

const SILENT = 30_000; // milliseconds without a byte after which a connection is given up
const FINISHING = 60_000; // the same, once all bytes have left: they may still wait in buffers, or to be made durable

export class Refused extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail || problem.code);
    this.problem = problem;
  }
}

/** @param {string} code  a refusal without an answer @returns {Refused} */
export function unanswered(code) {
  return new Refused({ status: 0, code, detail: "", retryAfter: null });
}

/** @param {Document} shown @returns {HTMLInputElement[]} */
const tokens = (shown) => [...shown.querySelectorAll(/** @type {"input"} */ ("input[name=csrfmiddlewaretoken]"))];
const cookie = () => document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/)?.[1];

let token = tokens(document)[0]?.value ?? "";
let seen = cookie();

/**
 * The token Django looks for. It is the one this page came with, and not the cookie's: a login changes that, and so
 * no page ever acts, or sends files, in the name of somebody who signed in after it.
 * @returns {string}
 */
export function csrfToken() {
  return token;
}

/** @returns {boolean} whether somebody, perhaps somebody else, signed in since */
export function signedInSince() {
  return cookie() !== seen;
}

/**
 * Ask whether who this page is for is signed in, and go on with the token of now. For somebody else the page has to
 * go: it is a "stranger" who came.
 * @returns {Promise<boolean>}
 */
export async function isItMe() {
  try {
    const html = await (await fetch("/login/", { cache: "no-store" })).text(); // leads to the page who is signed in
    const shown = new DOMParser().parseFromString(html, "text/html");
    const user = JSON.parse(shown.getElementById("page-data")?.textContent ?? '{"user":0}').user;
    if (user && user !== page.user) {
      document.dispatchEvent(new Event("stranger"));
      return false;
    }
    token = tokens(shown)[0]?.value ?? "";
    seen = cookie();
    for (const field of tokens(document)) field.value = token;
    return Boolean(user);
  } catch (wrong) {
    if (wrong instanceof TypeError) throw unanswered("lost"); // what fetch throws when there is no answer
    throw wrong;
  }
}

/**
 * Seconds of a Retry-After header: a number or a date (RFC 9110, 10.2.3).
 * @param {string | null} header
 * @returns {number | null}
 */
export function retryAfter(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(Math.ceil(seconds), 1), 3600) : null;
}

/**
 * @param {XMLHttpRequest} request
 * @returns {Problem}
 */
function problemOf(request) {
  const problem = { status: request.status, code: "strange", detail: "",
    retryAfter: retryAfter(request.getResponseHeader("Retry-After")) };
  if (/^application\/(problem\+)?json/.test(request.getResponseHeader("Content-Type") ?? "")) {
    try {
      const said = JSON.parse(request.responseText);
      problem.code = String(said.code ?? "strange");
      problem.detail = String(said.detail ?? said.title ?? "");
    } catch (wrong) {
      if (!(wrong instanceof SyntaxError)) throw wrong; // an answer cut short: the status has to do
    }
  }
  return problem;
}

/**
 * Ask the server something. A stale CSRF token is renewed, unless somebody else is signed in now.
 * Rejects with Refused for anything but 2xx, or with an AbortError when `signal` fires.
 * @param {string} method
 * @param {string} url
 * @param {Sending} [sending]
 * @returns {Promise<XMLHttpRequest>}  with its answer
 */
export async function ask(method, url, sending = {}) {
  if (!signedInSince()) {
    try {
      return await once(method, url, sending);
    } catch (wrong) {
      if (!(wrong instanceof Refused) || wrong.problem.code !== "csrf_failed") throw wrong;
    }
  }
  if (await isItMe()) return once(method, url, sending);
  throw new Refused({ status: 401, code: "not_signed_in", detail: "", retryAfter: null });
}

/**
 * @param {string} method
 * @param {string} url
 * @param {Sending} sending
 * @returns {Promise<XMLHttpRequest>}
 */
function once(method, url, { headers = {}, body = null, signal, progress }) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.setRequestHeader("Accept", "application/json");
    if (method !== "GET" && method !== "HEAD") request.setRequestHeader("X-CSRFToken", csrfToken());
    for (const name in headers) request.setRequestHeader(name, headers[name]);
    let timer = 0;
    let silent = false;
    const heard = (patience = SILENT) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        silent = true;
        request.abort();
      }, patience);
    };
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop, { once: true });
    request.upload.onprogress = (event) => {
      heard();
      progress?.(event.loaded);
    };
    request.upload.onload = () => heard(FINISHING);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve(request);
      else reject(new Refused(problemOf(request)));
    };
    request.onerror = () => reject(unanswered("lost"));
    request.onabort = () => reject(silent ? unanswered("lost") : new DOMException("stopped", "AbortError"));
    request.onloadend = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    };
    heard();
    request.send(body);
  });
}
