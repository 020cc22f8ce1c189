// @ts-check
/** The rows of files being sent, above those of the server; drawn at most five times a second. */
import { announce } from "./notices.js";
import { page, shown, size, text } from "./text.js";
import * as total from "./total.js";

/**
 * @typedef {import("./item.js").Item} Item
 * @typedef {import("./queue.js").Queue} Queue
 *
 * @typedef {object} Wishes  What else a row can ask for.
 * @property {(item: Item) => void} find  Have the item's file chosen, or read again.
 * @property {(item: Item) => boolean} mayRead  Whether the browser still knows where the file is.
 */

const EVERY = 200; // milliseconds
const MOST_WAITING = 50; // rows of files that merely wait
/** @type {Map<Item, HTMLElement>} */
const rows = new Map();
/** @type {Set<Item>} */
const stale = new Set();
let timer = 0;

/** @type {Queue} */
let queue;
/** @type {Wishes} */
let wishes;
const list = /** @type {HTMLElement} */ (document.getElementById("sending"));
const pattern = /** @type {HTMLTemplateElement} */ (document.getElementById("sending-row"));

/**
 * @param {Queue} of  the queue whose items are shown
 * @param {Wishes} with_
 */
export function show(of, with_) {
  queue = of;
  wishes = with_;
  total.show(queue);
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
      announce(text("refused", { name: shown(item.name), reason: reason(item) }));
    }
    if (item.stage === "sent") total.count(item);
    stale.add(item);
  }
  timer ||= setTimeout(draw, rows.has(item) ? EVERY : 0);
}

/** @returns {Item[]} what the server took, but whose own row has not come yet */
export function arrived() {
  return [...rows.keys()].filter((item) => item.stage === "sent");
}

/** @returns {Set<string>} the ids of jobs that are the other side of a row here */
export function jobsUnderWay() {
  return new Set([...rows.keys()].map((item) => item.jobId));
}

/**
 * Remove an item's row; where it had the focus, the list's title gets it.
 * @param {Item} item
 */
export function leave(item) {
  const row = rows.get(item);
  if (row?.contains(document.activeElement)) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    const place = next?.querySelector("button.main") ?? next?.querySelector("button");
    /** @type {HTMLElement | null} */ (place ?? document.getElementById("list-title"))?.focus();
  }
  row?.remove();
  rows.delete(item);
  stale.delete(item);
  queue.forget(item);
}

function draw() {
  timer = 0;
  let waiting = MOST_WAITING;
  for (const item of queue.items) {
    if (item.stage === "waiting" && --waiting < 0 && !rows.has(item)) continue;
    if (!rows.has(item)) {
      rows.set(item, newRow(item));
      stale.add(item);
    }
  }
  for (const item of stale) {
    const row = rows.get(item);
    if (!row) continue; // one of many that wait
    if (!row.isConnected) list.append(row);
    update(item, row);
  }
  stale.clear();
  total.draw(queue.items.length - rows.size);
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
  const name = shown(item.name);
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
  const { stage } = item;
  const bar = /** @type {HTMLProgressElement} */ (part(row, "progress"));
  const done = stage === "sent" || item.sent >= item.size;
  bar.hidden = ["refused", "asking"].includes(stage) || (stage !== "sending" && !item.sent && !done);
  if (stage === "sending" && done) bar.removeAttribute("value"); // sent, but not answered: no telling how long
  else bar.value = done ? 100 : (100 * item.sent) / item.size;
  part(row, ".facts").textContent = facts(item, done);
  const said = part(row, ".said");
  const words = reason(item);
  if (said.textContent !== words) said.textContent = words;
  said.classList.toggle("reason", stage === "refused");
  row.classList.toggle("is-failed", stage === "refused");
  buttons(item, part(row, ".acts"));
}

/**
 * @param {Item} item
 * @param {boolean} done
 * @returns {string}
 */
function facts(item, done) {
  const { stage } = item;
  const whole = size(item.size);
  const part = item.sent ? text("sending", { sent: size(item.sent), size: whole }) : whole;
  if (stage === "waiting") return [text("waiting"), part].join(" · ");
  if (stage === "paused") return [text("paused"), part].join(" · ");
  if (stage === "sent") return [text("sent"), whole].join(" · ");
  if (stage !== "sending") return part;
  if (done) return [text("finishing"), whole].join(" · ");
  const parts = [text("sending", { sent: size(item.sent), size: whole })];
  if (item.speed) parts.push(text("speed", { speed: size(item.speed) }));
  return parts.join(" · ");
}

/**
 * Why an item waits or was not taken, and what was odd about it, in words.
 * @param {Item} item
 * @returns {string}
 */
function reason(item) {
  const { problem, stage } = item;
  const note = notes(item);
  if (stage === "asking") return text("here", { name: shown(item.twin?.filename ?? "") });
  if (stage === "left") {
    const how = wishes.mayRead(item) ? text("leftKnown") : text("left");
    return [note, how].filter(Boolean).join(" ");
  }
  if (!problem || stage === "paused") return note;
  const fixed = {
    lost: navigator.onLine ? text("lost") : text("away"),
    unreadable: text("unreadable"),
    changed: text("changedOnDisk"),
  };
  let words = /** @type {Record<string, string>} */ (fixed)[problem.code] || problem.detail;
  if (problem.status === 401) words = text("signedOut");
  if (problem.status === 413 && !words) words = text("tooLarge", { size: size(page.maxSize) });
  words ||= text("strange", { status: problem.status });
  if (stage !== "held") return words;
  const seconds = Math.max(1, Math.ceil((item.until - Date.now()) / 1000));
  if (seconds < 100) return text("again", { reason: words, seconds });
  return text("againMinutes", { reason: words, minutes: Math.ceil(seconds / 60) });
}

/** @param {Item} item @returns {string} */
function notes(item) {
  if (item.note === "startsAnew") return text("startsAnew");
  return item.note === "changed" ? text("changed") : "";
}

/**
 * Put the buttons an item needs; those that are there already stay, and keep the focus.
 * @param {Item} item
 * @param {HTMLElement} place
 */
function buttons(item, place) {
  const wanted = wantedButtons(item);
  const names = wanted.map(([name]) => name).join();
  if (place.dataset.has === names) return;
  const focused = place.contains(document.activeElement);
  place.dataset.has = names;
  place.replaceChildren(
    ...wanted.map(([name, look, act]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = look;
      button.textContent = name;
      button.setAttribute("aria-label", text("actOn", { act: name, name: shown(item.name) }));
      button.addEventListener("click", () => act(item));
      return button;
    }),
  );
  if (focused) place.querySelector("button")?.focus();
}

/**
 * @param {Item} item
 * @returns {[string, string, (item: Item) => void][]}  name, look, and what each does
 */
function wantedButtons({ stage, problem }) {
  const pause = () => /** @type {const} */ ([text("pause"), "", (/** @type {Item} */ one) => queue.pause(one)]);
  const resume = (/** @type {Item} */ one) => queue.resume(one);
  const cancel = (/** @type {Item} */ one) => queue.cancel(one);
  switch (stage) {
    case "sent":
      return [];
    case "asking":
      return [[text("insist"), "", (one) => queue.insist(one)], [text("skip"), "main", cancel]];
    case "left":
      return [[text("find"), "main", wishes.find], [text("remove"), "", cancel]];
    case "paused":
      return [[text("resume"), "main", resume], [text("remove"), "", cancel]];
    case "held":
    case "locked":
      return [[text("retry"), "main", resume], [text("cancel"), "", cancel]];
    case "refused": {
      /** @type {[string, string, (item: Item) => void]} */
      const dismiss = [text("dismiss"), "", cancel];
      if (problem?.code === "too_large") return [dismiss];
      if (["unreadable", "changed"].includes(problem?.code ?? "")) return [[text("find"), "main", wishes.find], dismiss];
      return [[text("retry"), "main", resume], dismiss];
    }
    default:
      return [[...pause()], [text("cancel"), "", cancel]];
  }
}

/**
 * @param {HTMLElement} row
 * @param {string} selector
 * @returns {HTMLElement}
 */
function part(row, selector) {
  return /** @type {HTMLElement} */ (row.querySelector(selector));
}
