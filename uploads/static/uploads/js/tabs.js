// @ts-check
/**
 * Which tabs of this browser are alive, so that no two send the same upload; and whose they are.
 *
 * A tab holds a lock of its own name for as long as it lives (Web Locks), whatever ends it. Plain HTTP has no
 * locks: there a tab is alive when it answers a call.
 */
import { newKey } from "./item.js";

const PREFIX = "wharfinger-tab-";
const ANSWER = 300; // milliseconds a living tab needs at most to answer a call

export const me = newKey();

const channel = new BroadcastChannel(PREFIX);

/** Be alive. */
export async function begin() {
  if (navigator.locks) {
    await new Promise((begun) => {
      void navigator.locks.request(PREFIX + me, () => {
        begun(null);
        return new Promise(() => {}); // until the tab ends
      });
    });
    return;
  }
  channel.addEventListener("message", ({ data }) => data.calls && channel.postMessage({ here: me }));
}

/** @returns {Promise<Set<string>>} the tabs that are alive, this one among them */
export async function alive() {
  if (navigator.locks) {
    const { held = [] } = await navigator.locks.query();
    return new Set(held.map(({ name = "" }) => name.replace(PREFIX, "")));
  }
  const found = new Set([me]);
  const note = (/** @type {MessageEvent} */ { data }) => data.here && found.add(data.here);
  channel.addEventListener("message", note);
  channel.postMessage({ calls: me });
  await new Promise((resolve) => setTimeout(resolve, ANSWER));
  channel.removeEventListener("message", note);
  return found;
}

/** Tell all tabs who is signed in in this browser now. @param {number} user  0: nobody */
export function tell(user) {
  channel.postMessage({ user });
}

/** @param {(user: number) => void} heard  called with what another tab tells */
export function hear(heard) {
  channel.addEventListener("message", ({ data }) => "user" in data && heard(data.user));
}

/**
 * Call once another tab has ended; without locks, whenever somebody looks at this one.
 * @param {string} tab
 * @param {() => void} ended
 */
export function whenEnded(tab, ended) {
  if (navigator.locks) void navigator.locks.request(PREFIX + tab, ended);
  else addEventListener("focus", ended); // also in vain
}
