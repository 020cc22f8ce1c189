// @ts-check
/** Asks somebody whose login expired to sign in, in place, so that nothing on the page is lost. */
import { csrfToken, freshToken } from "./transport.js";
import { page, text } from "./text.js";

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
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    complain(await signIn());
    password.value = "";
    if (!complaint.hidden) return password.focus();
    renewForms();
    done();
  });
  document.getElementById("sign-in-done")?.addEventListener("click", async () => {
    complain(await whoIsIt());
    if (!complaint.hidden) return;
    renewForms();
    done();
  });
}

/** After a login elsewhere. @returns {Promise<string>} what is wrong with it, or nothing */
async function whoIsIt() {
  try {
    const shown = await (await fetch("/", { cache: "no-store" })).text();
    const data = new DOMParser().parseFromString(shown, "text/html").getElementById("page-data");
    if (!data) return text("signedOut");
    return JSON.parse(data.textContent ?? "").user === page.user ? "" : text("somebodyElse");
  } catch (wrong) {
    if (wrong instanceof TypeError) return text("lost");
    throw wrong;
  }
}

/** @returns {Promise<string>} what went wrong, or nothing */
async function signIn() {
  try {
    await freshToken();
    const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
    body.set("csrfmiddlewaretoken", csrfToken());
    const { type, status } = await fetch(form.action, { method: "POST", body, redirect: "manual" });
    if (type === "opaqueredirect") return "";
    return status === 200 ? text("wrongPassword") : text("strange", { status });
  } catch (wrong) {
    if (wrong instanceof TypeError) return text("lost"); // what fetch throws when there is no answer
    throw wrong;
  }
}

/** The forms of this page hold the token of the login before. */
function renewForms() {
  for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (
    document.querySelectorAll("input[name=csrfmiddlewaretoken]")
  )) {
    field.value = csrfToken();
  }
}

/** @param {string} words */
function complain(words) {
  complaint.textContent = words;
  complaint.hidden = !words;
}
