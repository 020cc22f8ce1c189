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
import * as tabs from "./tabs.js";
import { page, text } from "./text.js";
import { Refused, isItMe, signedInSince } from "./transport.js";
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
let leaving = false;
addEventListener("beforeunload", (event) => {
  if (queue.busy && !leaving) event.preventDefault();
});

/** This page's person is gone: nothing of theirs stays here. */
async function leave() {
  leaving = true;
  await memory.end();
  location.replace("/");
}

document.addEventListener("stranger", leave);
tabs.hear((user) => {
  if (user !== page.user) void leave();
  else if (signedInSince()) void isItMe();
});
tabs.tell(page.user);
const signOut = /** @type {HTMLFormElement} */ (document.getElementById("sign-out"));
signOut.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (queue.items.some(({ stage }) => stage !== "sent") && !confirm(text("signOut"))) return;
  leaving = true;
  try {
    await fetch(signOut.action, { method: "POST", body: new FormData(signOut), redirect: "manual" });
  } catch (wrong) {
    leaving = false;
    if (!(wrong instanceof TypeError)) throw wrong;
    return problem(text("lost"));
  }
  tabs.tell(0);
  await leave();
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
