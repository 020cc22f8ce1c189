// @ts-check
/** What is said to the reader: in the live region, which is heard, and as notices, which are seen too. */

const region = /** @type {HTMLElement} */ (document.getElementById("announcement"));
const notices = /** @type {HTMLElement} */ (document.getElementById("notices"));
/** @type {string[]} */
let waiting = [];
let timer = 0;

/**
 * Let a screen reader say something; what comes within a second is said together, and many things not at all.
 * @param {string} words
 */
export function announce(words) {
  waiting.push(words);
  timer ||= setTimeout(() => {
    region.textContent = waiting.slice(0, 3).join(" ");
    waiting = [];
    timer = 0;
  }, 1000);
}

/**
 * Show a problem above the list; the same one only once.
 * @param {string} words
 * @param {{href: string, label: string}} [link]
 */
export function problem(words, link) {
  if ([...notices.children].some((one) => one.textContent?.startsWith(words))) return;
  const notice = document.createElement("p");
  notice.className = "notice problem";
  notice.textContent = words;
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = link.href;
    anchor.textContent = link.label;
    notice.append(" ", anchor);
  }
  notices.append(notice);
}

/** Take a problem away again. @param {string} words */
export function settled(words) {
  for (const one of notices.children) if (one.textContent?.startsWith(words)) one.remove();
}
