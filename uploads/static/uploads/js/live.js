// @ts-check
/**
 * Keeps the list as it is on the server, by asking only for what changed.
 *
 * Every row carries its version; together they are the If-None-Match of the question, so what is in the page is
 * the only memory. The server's Poll-After says when to ask again (0: not before something happens here).
 * htmx does the asking and puts the answer's rows in place; this module decides when.
 */
import * as bulk from "./bulk.js";
import { humanise } from "./dates.js";
import { problem, settled } from "./notices.js";
import { arrived, jobsUnderWay, leave } from "./sending.js";
import { csrfToken, isItMe, signedInSince } from "./transport.js";
import { text } from "./text.js";

const LIVE_ROWS = 200; // the newest, and
const LIVE_BELOW = 40; // as many further down that are under way: no more are looked at by the server
const UNDER_WAY = ["receiving", "queued", "running"];
const SOON = 150; // milliseconds in which wishes for a look are gathered
const APART = 500; // milliseconds between two looks, however much happens
const SLOWEST = 30000;

/** @typedef {CustomEvent<any>} HtmxEvent */

const live = /** @type {HTMLElement} */ (document.getElementById("live"));
let timer = 0;
let due = 0;
let asked = 0;
let asking = false;
let settling = false;
let failures = 0;
/** @type {string} */
let focusedRow = "";
/** @type {Set<string>} */
const opened = new Set();

/** Look soon: something happened. */
export function wake() {
  plan(SOON);
}

export function start() {
  document.addEventListener("htmx:configRequest", (event) => configure(/** @type {HtmxEvent} */ (event)));
  document.addEventListener("htmx:afterRequest", (event) => answered(/** @type {HtmxEvent} */ (event)));
  document.addEventListener("htmx:oobBeforeSwap", (event) => remember(/** @type {HtmxEvent} */ (event)));
  document.addEventListener("htmx:afterSettle", () => {
    if (!settling) queueMicrotask(settle); // it comes once for each new row
    settling = true;
  });
  bulk.start();
  document.addEventListener("wake", wake);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = 0;
    wake();
  });
  addEventListener("online", wake);
  addEventListener("pageshow", (event) => event.persisted && wake());
  setInterval(() => document.hidden || humanise(), 20000);
  humanise();
  const pause = Number(live.dataset.pause);
  if (pause) plan(pause);
}

/** @param {number} wait  milliseconds */
function plan(wait) {
  if (document.hidden) return; // becoming visible wakes it
  wait = Math.max(wait, asked + APART - Date.now());
  const at = Date.now() + wait;
  if (asking) {
    due = Math.max(due, 1); // look again right after the answer
    return;
  }
  if (timer && due <= at && due > Date.now() - 1000) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(ask, wait);
}

function ask() {
  timer = 0;
  due = 0;
  if (document.hidden) return;
  asking = true;
  asked = Date.now();
  for (const item of arrived()) item.asked = true;
  live.dispatchEvent(new CustomEvent("poll"));
}

/** Give each of htmx's requests what it needs. @param {HtmxEvent} event */
function configure(event) {
  const { detail } = event;
  if (detail.verb !== "get") detail.headers["X-CSRFToken"] = csrfToken();
  if (detail.elt !== live) return;
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("#rows > .row")]);
  const newest = rows.slice(0, LIVE_ROWS);
  // The oldest are the next to move.
  const below = rows.slice(LIVE_ROWS).filter((row) => UNDER_WAY.includes(row.dataset.state ?? ""));
  const looked = [...newest, ...below.slice(-LIVE_BELOW)];
  detail.headers["If-None-Match"] = `"${looked.map((row) => row.dataset.version).join(".")}"`;
  if (looked.length > newest.length) {
    const ids = looked.slice(newest.length).map((row) => row.dataset.job?.replaceAll("-", ""));
    detail.parameters.also = ids.join(".");
  }
  const until = document.getElementById("more")?.dataset.until;
  if (until) detail.parameters.until = until;
  const form = new FormData(/** @type {HTMLFormElement} */ (document.getElementById("search")));
  for (const name of ["q", "state"]) {
    const value = form.get(name);
    if (value) detail.parameters[name] = value;
  }
}

/** @param {HtmxEvent} event */
function answered(event) {
  const { xhr, elt, failed } = event.detail;
  const status = xhr?.status ?? 0;
  if (elt !== live) {
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("dialog"));
    if (dialog.contains(elt)) dialog.close();
    if (status === 403 && signedInSince()) void isItMe(); // then the next try can succeed
    if (status === 401) problem(text("signedOut"), { href: "/login/", label: text("signIn") });
    else if (failed && status !== 404 && status !== 409) problem(text("failed", { status: status || "–" }));
    if (elt.id === "search" || elt.closest("#filters")) wake();
    return;
  }
  asking = false;
  const again = due;
  due = 0;
  if (status === 401) {
    problem(text("signedOut"), { href: "/login/", label: text("signIn") });
    return;
  }
  if (status !== 200 && status !== 304) {
    failures += 1;
    if (failures > 2) problem(text("offline"));
    plan(Math.min(SLOWEST, 1000 * 2 ** failures));
    return;
  }
  if (failures > 2) settled(text("offline"));
  failures = 0;
  reconcile();
  const pause = Number(xhr.getResponseHeader("Poll-After"));
  if (again) plan(SOON);
  else if (pause) plan(pause);
}

/** Before a row is replaced: whether it has the focus, and is open. @param {HtmxEvent} event */
function remember(event) {
  const row = /** @type {HTMLElement} */ (event.detail.target);
  if (!row.id.startsWith("job-")) return;
  if (row.contains(document.activeElement)) focusedRow = row.id;
  if (row.querySelector("details[open]")) opened.add(row.id);
  bulk.remember(row);
}

/** After rows were replaced: give back the focus and open cards, write times, drop rows that were taken over. */
function settle() {
  settling = false;
  for (const id of opened) document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
  opened.clear();
  bulk.settle();
  if (focusedRow && (document.activeElement === document.body || !document.activeElement)) {
    (document.getElementById(focusedRow) ?? document.getElementById("list-title"))?.focus();
  }
  focusedRow = "";
  const ids = new Set();
  for (const row of document.querySelectorAll("#rows > .row")) {
    if (ids.has(row.id)) row.remove(); // it rose into the newest rows, and was sent as one of them
    ids.add(row.id);
  }
  humanise();
  reconcile();
}

/** The rows of this page's sender make way for those of the server, and those of the server wait for them. */
function reconcile() {
  for (const item of arrived()) {
    // A filter may hide its job: then the answer to one question is enough.
    if (document.querySelector(`[data-job="${CSS.escape(item.job)}"]`) || (item.asked && !asking)) leave(item);
  }
  const ours = jobsUnderWay();
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#rows > .row"))) {
    // The same file, seen from the other side.
    row.hidden = row.dataset.state === "receiving" && ours.has(row.dataset.job ?? "");
  }
}
