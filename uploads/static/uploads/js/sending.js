// @ts-check
/** The rows of files being sent, above those of the server; drawn at most five times a second. */
import { announce } from "./notices.js";
import { page, shown, size, text } from "./text.js";

/**
 * @typedef {import("./queue.js").Item} Item
 * @typedef {import("./queue.js").Queue} Queue
 */

const EVERY = 200; // milliseconds
/** @type {Map<Item, HTMLElement>} */
const rows = new Map();
/** @type {Set<Item>} */
const stale = new Set();
let timer = 0;
let sent = 0; // of the files since the queue was last empty

/** @type {Queue} */
let queue;
const list = /** @type {HTMLElement} */ (document.getElementById("sending"));
const pattern = /** @type {HTMLTemplateElement} */ (document.getElementById("sending-row"));
const total = /** @type {HTMLElement} */ (document.getElementById("total"));

/**
 * @param {Queue} of  the queue whose items are shown
 */
export function show(of) {
  queue = of;
  document.getElementById("cancel-all")?.addEventListener("click", () => queue.cancelAll());
}

/**
 * Take note that an item changed; it is drawn soon.
 * @param {Item} item
 */
export function changed(item) {
  if (item.stage === "cancelled") {
    leave(item);
  } else {
    if (item.stage === "refused") {
      announce(text("refused", { name: shown(item.file.name), reason: reason(item) }));
    }
    if (item.stage === "sent") sent += 1;
    stale.add(item);
  }
  timer ||= setTimeout(draw, rows.has(item) ? EVERY : 0);
}

/** @returns {Item[]} what the server took, but whose own row has not come yet */
export function arrived() {
  return [...rows.keys()].filter((item) => item.stage === "sent");
}

/** @returns {Set<string>} sizes, as the server writes them, of the files on their way */
export function sizesUnderWay() {
  return new Set(
    [...rows.keys()].filter((item) => item.stage === "sending").map((item) => String(item.file.size)),
  );
}

/**
 * Remove an item's row; where it had the focus, the list's title gets it.
 * @param {Item} item
 */
export function leave(item) {
  const row = rows.get(item);
  if (row?.contains(document.activeElement)) document.getElementById("list-title")?.focus();
  row?.remove();
  rows.delete(item);
  stale.delete(item);
  queue.forget(item);
}

function draw() {
  timer = 0;
  for (const item of stale) {
    let row = rows.get(item);
    if (!row) {
      row = newRow(item);
      rows.set(item, row);
      list.append(row);
    }
    update(item, row);
  }
  stale.clear();
  drawTotal();
  for (const item of rows.keys()) if (item.stage === "held") stale.add(item); // its seconds run down
  if (stale.size) timer = setTimeout(draw, 1000);
}

/**
 * @param {Item} item
 * @returns {HTMLElement}
 */
function newRow(item) {
  const row = /** @type {HTMLElement} */ (
    /** @type {DocumentFragment} */ (pattern.content.cloneNode(true)).firstElementChild
  );
  const name = shown(item.file.name);
  part(row, "bdi").textContent = name;
  part(row, ".tile").textContent = /\.([a-z0-9]{1,4})$/i.exec(name)?.[1].toUpperCase() ?? "–";
  part(row, "progress").setAttribute("aria-label", text("progress", { name }));
  return row;
}

/**
 * @param {Item} item
 * @param {HTMLElement} row
 */
function update(item, row) {
  const { file, stage } = item;
  const bar = /** @type {HTMLProgressElement} */ (part(row, "progress"));
  bar.hidden = stage === "refused" || stage === "held";
  const done = stage === "sent" || item.sent >= file.size;
  if (stage === "sending" && done) bar.removeAttribute("value"); // sent, but not answered: no telling how long
  else bar.value = done ? 100 : (100 * item.sent) / file.size;
  part(row, ".facts").textContent = facts(item, done);
  const said = part(row, ".said");
  said.textContent = reason(item);
  said.classList.toggle("reason", stage === "refused");
  row.classList.toggle("is-failed", stage === "refused");
  if (item.problem?.status === 401) said.append(" ", signIn());
  buttons(item, part(row, ".acts"));
}

/**
 * @param {Item} item
 * @param {boolean} done
 * @returns {string}
 */
function facts(item, done) {
  const whole = size(item.file.size);
  if (item.stage === "waiting") return [text("waiting"), whole].join(" · ");
  if (item.stage === "sent") return [text("sent"), whole].join(" · ");
  if (item.stage !== "sending") return whole;
  if (done) return [text("finishing"), whole].join(" · ");
  const parts = [text("sending", { sent: size(item.sent), size: whole })];
  if (item.speed) parts.push(text("speed", { speed: size(item.speed) }));
  return parts.join(" · ");
}

/**
 * Why an item waits or was not taken, in words.
 * @param {Item} item
 * @returns {string}
 */
function reason(item) {
  const { problem } = item;
  if (!problem) return "";
  const fixed = { lost: text("lost"), unreadable: text("unreadable"), not_signed_in: text("signedOut") };
  let words = /** @type {Record<string, string>} */ (fixed)[problem.code] || problem.detail;
  if (problem.status === 413 && !words) words = text("tooLarge", { size: size(page.maxSize) });
  words ||= text("strange", { status: problem.status });
  if (item.stage !== "held") return words;
  const seconds = Math.max(1, Math.ceil((item.until - Date.now()) / 1000));
  return text("again", { reason: words, seconds });
}

/** @returns {HTMLAnchorElement} a way to sign in without losing what is being sent here */
function signIn() {
  const link = document.createElement("a");
  link.href = "/login/";
  link.target = "_blank";
  link.textContent = text("signIn");
  return link;
}

/**
 * Put the buttons an item needs; those that are there already stay, and keep the focus.
 * @param {Item} item
 * @param {HTMLElement} place
 */
function buttons(item, place) {
  const { stage } = item;
  /** @type {[string, string, () => void][]} */
  const wanted = [];
  if (stage === "refused") {
    if (item.problem?.code !== "too_large") wanted.push(["retry", "main", () => queue.retry(item)]);
    wanted.push(["dismiss", "", () => leave(item)]);
  } else if (stage !== "sent") {
    wanted.push(["cancel", "", () => queue.cancel(item)]);
  }
  const names = wanted.map(([name]) => name).join();
  if (place.dataset.has === names) return;
  const focused = place.contains(document.activeElement);
  place.dataset.has = names;
  place.replaceChildren(
    ...wanted.map(([name, look, act]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = look;
      button.textContent = text(name);
      button.setAttribute("aria-label", text("actOn", { act: text(name), name: shown(item.file.name) }));
      button.addEventListener("click", act);
      return button;
    }),
  );
  if (focused) /** @type {HTMLElement | null} */ (place.querySelector("button"))?.focus();
}

function drawTotal() {
  const open = queue.items.filter((item) => ["waiting", "held", "sending"].includes(item.stage));
  total.hidden = open.length + sent < 2 || !open.length;
  if (!open.length) {
    sent = 0;
    return;
  }
  const all = open.length + sent;
  const part = open.reduce((sum, item) => sum + (item.file.size ? item.sent / item.file.size : 0), 0);
  /** @type {HTMLProgressElement} */ (document.getElementById("total-progress")).value =
    (100 * (sent + part)) / all;
  /** @type {HTMLElement} */ (document.getElementById("total-text")).textContent =
    text("total", { done: sent, all });
}

/**
 * @param {HTMLElement} row
 * @param {string} selector
 * @returns {HTMLElement}
 */
function part(row, selector) {
  return /** @type {HTMLElement} */ (row.querySelector(selector));
}
