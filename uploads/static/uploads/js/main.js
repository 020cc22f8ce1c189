// @ts-check
/** Makes the plain page a live one. Where any of this fails to load, the form and links work without it. */
import { deliver } from "./courier.js";
import { Item } from "./item.js";
import * as live from "./live.js";
import { problem, settled } from "./notices.js";
import { watch } from "./pick.js";
import { Queue } from "./queue.js";
import * as sending from "./sending.js";
import { page, text } from "./text.js";
import { Refused } from "./transport.js";
import * as tus from "./tus.js";

/** @typedef {import("./item.js").Item} AnItem */

const queue = new Queue(
  {
    deliver,
    twinOf: async () => null,
    keep: () => {},
    drop: () => {},
    changed(item) {
      sending.changed(item);
      if (item.stage === "sent") live.wake();
    },
    takeBack(item) {
      if (item.url) tus.end(item.url).then(live.wake, expires);
    },
  },
  page.maxSize,
);

/** What cannot be taken back now is given up by the server itself, in time. @param {unknown} wrong */
function expires(wrong) {
  if (!(wrong instanceof Refused)) throw wrong;
}

sending.show(queue, { find: () => {}, mayRead: () => false });
watch(
  (files) => {
    settled(text("emptyFolder"));
    queue.add(files.map((file) => Item.of(file)));
  },
  () => problem(text("emptyFolder")),
);
live.start();

addEventListener("online", () => queue.wake());
addEventListener("beforeunload", (event) => {
  if (queue.busy) event.preventDefault();
});

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("dialog"));
dialog.addEventListener("close", () => {
  // What had the focus before may have been deleted.
  if (document.activeElement === document.body) document.getElementById("list-title")?.focus();
});

document.addEventListener("htmx:afterSettle", (event) => {
  const { target } = /** @type {CustomEvent<any>} */ (event).detail;
  if (target === dialog && !dialog.open) dialog.showModal();
});

document.documentElement.classList.add("live");
