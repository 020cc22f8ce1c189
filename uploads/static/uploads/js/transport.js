// @ts-check
/**
 * One file on its way to the server, as a raw PUT. XMLHttpRequest, since fetch does not tell how much was sent.
 *
 * @typedef {{id: string}} Job
 * @typedef {object} Problem  Why a file was not taken.
 * @property {number} status  HTTP status; 0 where there was no answer.
 * @property {string} code  The stable code of problem+json, "lost", "unreadable" or "strange".
 * @property {string} detail  A sentence from the server, or nothing.
 * @property {number | null} retryAfter  Seconds the server asks to wait.
 */

export class Refused extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail || problem.code);
    this.problem = problem;
  }
}

/** @returns {string} The token Django looks for; read anew each time, since a login changes it. */
export function csrfToken() {
  return document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/)?.[1] ?? "";
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
 * Send one file. Rejects with Refused, or with an AbortError when `signal` fires.
 * @param {File} file
 * @param {{signal: AbortSignal, progress: (sent: number) => void}} options
 * @returns {Promise<Job>}
 */
export async function send(file, { signal, progress }) {
  try {
    await file.slice(0, 1).arrayBuffer(); // a folder, or a file that was moved, fails here and not half way
  } catch {
    throw new Refused({ status: 0, code: "unreadable", detail: "", retryAfter: null });
  }
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open("PUT", `/api/uploads/${encodeURIComponent(file.name.replace(/\p{Cs}/gu, "\ufffd"))}`);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    const stop = () => request.abort();
    signal.addEventListener("abort", stop, { once: true });
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) {
        try {
          resolve(JSON.parse(request.responseText));
          return;
        } catch (wrong) {
          if (!(wrong instanceof SyntaxError)) throw wrong;
        }
      }
      reject(new Refused(problemOf(request)));
    };
    request.onerror = () => reject(new Refused({ status: 0, code: "lost", detail: "", retryAfter: null }));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    request.send(file);
  });
}
