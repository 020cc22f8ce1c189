// @ts-check
/** Asks somebody whose login expired to sign in, in place, so that nothing on the page is lost. */
import { Refused, csrfToken, isItMe } from "./transport.js";
import { text } from "./text.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("sign-in"));
const complaint = /** @type {HTMLElement} */ (document.getElementById("sign-in-problem"));
const password = /** @type {HTMLInputElement} */ (document.getElementById("sign-in-password"));

/** Show the form, or take it away. @param {boolean} wanted */
export function want(wanted) {
  if (form.hidden !== wanted) return;
  form.hidden = !wanted;
  complain("");
}

/** @param {() => void} done  called once the same person is signed in again */
export function watch(done) {
  const settle = async (/** @type {() => Promise<string>} */ act) => {
    complain(await act().catch(lost));
    if (complaint.hidden) done();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await settle(signIn);
    password.value = "";
    if (!complaint.hidden) password.focus();
  });
  document.getElementById("sign-in-done")?.addEventListener("click", () => void settle(whoIsIt));
}

/** @returns {Promise<string>} what is wrong with who is signed in, or nothing */
async function whoIsIt() {
  return (await isItMe()) ? "" : text("signedOut");
}

/** @returns {Promise<string>} what went wrong, or nothing */
async function signIn() {
  await isItMe(); // for a token that is taken
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  body.set("csrfmiddlewaretoken", csrfToken());
  const { type, status } = await fetch(form.action, { method: "POST", body, redirect: "manual" });
  if (type === "opaqueredirect") return whoIsIt();
  return status === 200 ? text("wrongPassword") : text("strange", { status });
}

/** @param {unknown} wrong @returns {string} */
function lost(wrong) {
  if (wrong instanceof TypeError || wrong instanceof Refused) return text("lost"); // there was no answer
  throw wrong;
}

/** @param {string} words */
function complain(words) {
  complaint.textContent = words;
  complaint.hidden = !words;
}
