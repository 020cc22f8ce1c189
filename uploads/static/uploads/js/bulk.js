// @ts-check
/** Rows that are ticked, so that something is done with all of them; without script the form works as it is. */
import { text } from "./text.js";

const all = /** @type {HTMLInputElement} */ (document.getElementById("all"));
const picked = /** @type {HTMLElement} */ (document.getElementById("picked"));
/** @type {Set<string>} ids of ticked jobs whose rows are just being replaced */
const kept = new Set();

/** @returns {HTMLInputElement[]} */
const boxes = () => [...document.querySelectorAll(/** @type {"input"} */ ("#rows input[name=job]"))];

/** @param {boolean} on */
function tick(on) {
  for (const box of boxes()) box.checked = on;
}

function count() {
  const n = boxes().filter((box) => box.checked).length;
  picked.textContent = n ? text("picked", { n }) : "";
}

export function start() {
  document.addEventListener("change", ({ target }) => {
    if (target === all) tick(all.checked);
    else if (target instanceof HTMLInputElement && target.name === "job") all.checked &&= target.checked;
    else return;
    count();
  });
  document.addEventListener("acted", () => {
    all.checked = false;
    tick(false);
    count();
  });
}

/** Before a row is replaced. @param {HTMLElement} row */
export function remember(row) {
  const box = row.querySelector(/** @type {"input"} */ ("input[name=job]"));
  if (box?.checked) kept.add(box.value);
}

/** After rows were replaced, or came. */
export function settle() {
  for (const box of boxes()) box.checked ||= all.checked || kept.has(box.value);
  kept.clear();
  count();
}
