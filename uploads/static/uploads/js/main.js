// @ts-check
/** Makes the plain page a live one. Where any of this fails to load, the form and links work without it. */
import { deliver } from "./courier.js";
import * as live from "./live.js";
import * as memory from "./memory.js";
import { problem, settled } from "./notices.js";
import { watch } from "./pick.js";
import { Queue } from "./queue.js";
import * as restore from "./restore.js";
import * as sending from "./sending.js";
import * as signin from "./signin.js";
import { page, text } from "./text.js";
import { Refused } from "./transport.js";
import * as tus from "./tus.js";
import { twinOf } from "./twins.js";

const queue = new Queue(
  {
    deliver,
    twinOf,
    keep: memory.keep,
    drop: memory.drop,
    changed(item) {
      sending.changed(item);
      signin.want(queue.locked);
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

sending.show(queue, {
  find: (item) => void restore.find(queue, item),
  mayRead: (item) => item.handle !== null,
});
signin.watch(() => {
  settled(text("signedOut"));
  queue.unlock();
  signin.want(false);
  live.wake();
});
watch(({ found, missed, more }) => {
  for (const name of ["emptyFolder", "tooMany", "missed"]) settled(text(name).split("{")[0]);
  if (more) problem(text("tooMany", { n: found.length }));
  else if (missed) problem(text("missed", { n: missed }));
  else if (!found.length) problem(text("emptyFolder"));
  void restore.take(queue, found);
});
live.start();
void memory.recall((item, file) => restore.recall(queue, item, file));

addEventListener("online", () => queue.wake());
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
