// @ts-check
/** Times as people say them, in the reader's language and time zone; without script the server's words stand. */

const language = document.documentElement.lang || undefined;
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

/** Write all times within an element anew. @param {ParentNode} [within] */
export function humanise(within = document) {
  for (const element of within.querySelectorAll("time[datetime]")) {
    const when = new Date(element.getAttribute("datetime") ?? "");
    if (Number.isNaN(when.getTime())) continue;
    const words = inWords(when, new Date());
    if (element.textContent !== words) element.textContent = words;
    element.setAttribute("title", exact.format(when));
  }
}

/**
 * @param {Date} when
 * @param {Date} now
 * @returns {string}
 */
function inWords(when, now) {
  const seconds = (when.getTime() - now.getTime()) / 1000;
  const far = Math.abs(seconds);
  if (far < 45 && seconds <= 0) return relative.format(0, "second");
  if (far < 90) return relative.format(Math.round(seconds), "second");
  if (far < 3600) return relative.format(Math.round(seconds / 60), "minute");
  return when.toDateString() === now.toDateString() ? clock.format(when) : day.format(when);
}
