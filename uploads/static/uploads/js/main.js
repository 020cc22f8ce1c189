// @ts-check
/** Makes the plain page a live one. Where any of this fails to load, the form and links work without it. */
import * as live from "./live.js";
import { problem, settled } from "./notices.js";
import { watch } from "./pick.js";
import { Queue } from "./queue.js";
import * as sending from "./sending.js";
import { page, text } from "./text.js";
import { send } from "./transport.js";

const queue = new Queue(
  send,
  (item) => {
    sending.changed(item);
    if (item.stage === "sent") live.wake();
  },
  page.maxSize,
);

sending.show(queue);
watch(
  (files) => {
    settled(text("emptyFolder"));
    queue.add(files);
  },
  () => problem(text("emptyFolder")),
);
live.start();

addEventListener("beforeunload", (event) => {
  if (queue.busy) event.preventDefault();
});

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("dialog"));
dialog.addEventListener("close", () => {
  // What had the focus before may have been deleted; then it is still on a button in here, or nowhere.
  const focused = document.activeElement;
  if (focused === document.body || dialog.contains(focused)) document.getElementById("list-title")?.focus();
});

document.addEventListener("htmx:afterSettle", (event) => {
  const { target } = /** @type {CustomEvent<any>} */ (event).detail;
  if (target === dialog && !dialog.open) dialog.showModal();
});

document.documentElement.classList.add("live");
