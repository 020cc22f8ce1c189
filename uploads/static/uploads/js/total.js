// @ts-check
/** All files being sent, as one: how far, how fast, how long still; and what can be done with all at once. */
import { announce } from "./notices.js";
import { size, text } from "./text.js";

/**
 * @typedef {import("./item.js").Item} Item
 * @typedef {import("./item.js").Stage} Stage
 * @typedef {import("./queue.js").Queue} Queue
 */

/** @type {Queue} */
let queue;
let files = 0; // sent since the queue was last empty,
let bytes = 0; // and how large they were

/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** What the buttons do, and to which stages. @type {Record<string, [Stage[], (item: Item) => void]>} */
const acts = {
  "pause-all": [["waiting", "sending", "held", "locked"], (item) => queue.pause(item)],
  "resume-all": [["paused"], (item) => queue.resume(item)],
  "retry-all": [["refused"], (item) => queue.resume(item)],
  "skip-all": [["asking"], (item) => queue.cancel(item)],
  "insist-all": [["asking"], (item) => queue.insist(item)],
  "remove-all": [["left"], (item) => queue.cancel(item)],
  "cancel-all": [["waiting", "sending", "held", "locked", "paused", "asking"], (item) => queue.cancel(item)],
};

/** @param {Queue} of */
export function show(of) {
  queue = of;
  for (const [id, [, act]] of Object.entries(acts)) {
    part(id).addEventListener("click", () => {
      for (const item of affected(id)) act(item);
    });
  }
}

/** An item arrived. @param {Item} item */
export function count(item) {
  files += 1;
  bytes += item.size;
  if (files > 1 && !queue.busy) announce(text("allSent", { n: files }));
}

/** @param {number} hidden  items without a row */
export function draw(hidden) {
  const going = those(["waiting", "sending", "held", "locked", "paused"]);
  const asking = those(["asking"]);
  const refused = affected("retry-all");
  const left = those(["left"]);
  if (!going.length) files = bytes = 0;
  const bar = part("total");
  bar.hidden = going.length + files < 2 && Math.max(asking.length, refused.length, left.length) < 2;
  if (bar.hidden) return;
  const all = going.reduce((sum, item) => sum + item.size, bytes);
  const sent = going.reduce((sum, item) => sum + item.sent, bytes);
  const progress = /** @type {HTMLProgressElement} */ (part("total-progress"));
  progress.hidden = !going.length;
  progress.value = all ? (100 * sent) / all : 0;
  part("total-text").textContent = going.length ? words(going, all - sent, hidden) : "";
  for (const id in acts) part(id).hidden = affected(id).length < 2;
}

/** @param {Stage[]} stages @returns {Item[]} */
function those(stages) {
  return queue.items.filter((item) => stages.includes(item.stage));
}

/** @param {string} id @returns {Item[]} what a button acts on: trying again must be able to end differently */
function affected(id) {
  const items = those(acts[id][0]);
  const final = ["too_large", "unreadable", "changed"];
  return id === "retry-all" ? items.filter(({ problem }) => !final.includes(problem?.code ?? "")) : items;
}

/**
 * @param {Item[]} going
 * @param {number} left  bytes
 * @param {number} hidden
 * @returns {string}
 */
function words(going, left, hidden) {
  const parts = [text("total", { done: files, all: files + going.length })];
  const speed = going.reduce((sum, item) => sum + (item.stage === "sending" ? item.speed : 0), 0);
  if (speed) parts.push(text("speed", { speed: size(speed) }), timeLeft(left / speed));
  if (hidden > 0) parts.push(text("more", { n: hidden }));
  return parts.join(" · ");
}

/** @param {number} seconds @returns {string} */
function timeLeft(seconds) {
  if (seconds < 90) return text("leftSeconds", { n: Math.max(1, Math.ceil(seconds)) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return text("leftMinutes", { n: minutes });
  return text("leftHours", { n: Math.round(minutes / 60) });
}
