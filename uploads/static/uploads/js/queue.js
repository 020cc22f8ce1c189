// @ts-check
/** The files this page sends: a few at a time, in order. Knows no DOM; tells each change of an item. */
import { Item } from "./item.js";
import { Refused } from "./transport.js";

const AT_ONCE = 3;
const AHEAD = 50; // files that are compared, at most, with what is already here before their turn
const GRACE = 400; // milliseconds a file waits to hear the answer
const FIRST_DELAY = 1000; // milliseconds to the first new try after a loss; then twice as long each time,
const LONGEST_DELAY = 30_000; // up to this
const AWAY = [408, 409, 423, 502, 503, 504]; // statuses of a server, or network, that is not there just now
const MINUTES = 120; // seconds of a Retry-After up to which a 429 is about the moment, and not about one file
const STUMBLES = 5; // times a server may say 500 before a file is refused

/**
 * @typedef {import("./transport.js").Job} Job
 * @typedef {import("./transport.js").Problem} Problem
 *
 * @typedef {object} Hands  What a queue needs done.
 * @property {typeof import("./courier.js").deliver} deliver
 * @property {(item: Item) => Promise<Job | null>} twinOf  A job of one's own with an item's content.
 * @property {(item: Item) => void} changed  An item looks different.
 * @property {(item: Item) => void} keep  Remember an item beyond this visit.
 * @property {(item: Item) => void} drop  It is finished: remember it no more.
 * @property {(item: Item) => void} takeBack  Its upload is not wanted any more.
 */

export class Queue {
  /**
   * @param {Hands} hands
   * @param {number} largest  bytes a file may have
   */
  constructor(hands, largest) {
    this.hands = hands;
    this.largest = largest;
    /** @type {Item[]} */
    this.items = [];
    this.heldUntil = 0;
    this.losses = 0; // in a row
    this.locked = false;
    this.timer = 0;
  }

  /** @returns {boolean} whether anything is being sent, or waits for it */
  get busy() {
    return this.items.some((item) => item.open);
  }

  /** @param {Item[]} items */
  add(items) {
    for (const item of items) {
      this.items.push(item);
      if (item.size > this.largest) {
        this.#refuse(item, { status: 413, code: "too_large", detail: "", retryAfter: null });
        continue;
      }
      this.hands.keep(item);
      this.hands.changed(item);
    }
    this.next();
  }

  /** @param {Item} item */
  pause(item) {
    if (item.open) this.#halt(item, "paused");
  }

  /** Let an item go on: at once where it waits for a time. @param {Item} item */
  resume(item) {
    if (item.stage === "held") this.heldUntil = item.until = 0;
    else if (item.stage === "locked") this.locked = false;
    item.problem = null;
    item.stumbles = 0;
    item.stage = item.file ? "waiting" : "left";
    this.#tell(item);
    this.next();
  }

  /** Send it although it is already here. @param {Item} item */
  insist(item) {
    item.anyway = true;
    this.resume(item);
  }

  /** Stop an item and forget it, with what was sent of it. @param {Item} item */
  cancel(item) {
    this.#halt(item, "cancelled");
    this.hands.drop(item);
    this.forget(item);
    this.hands.takeBack(item);
    this.next();
  }

  /** Forget an item: its job's own row has taken over, or its refusal was read. @param {Item} item */
  forget(item) {
    this.items = this.items.filter((one) => one !== item);
  }

  /** Somebody signed in. */
  unlock() {
    this.locked = false;
    for (const item of this.items) if (item.stage === "locked") this.resume(item);
    this.next();
  }

  /** The network may be back: try now. */
  wake() {
    this.#recovered();
    this.next();
  }

  /** Begin what may begin now. */
  next() {
    clearTimeout(this.timer);
    if (this.locked) return;
    const now = Date.now();
    const held = this.items.filter((item) => item.stage === "held");
    const next = Math.max(this.heldUntil, Math.min(...held.map((item) => item.until)));
    if (next > now && next < Infinity) this.timer = setTimeout(() => this.next(), next - now);
    if (this.heldUntil > now) return;
    for (const item of held) {
      if (item.until > now) continue;
      item.stage = "waiting";
      this.hands.changed(item);
    }
    const free = AT_ONCE - this.items.filter((item) => item.stage === "sending").length;
    const waiting = this.items.filter((item) => item.stage === "waiting");
    // In heaps, not one for each that is sent: what is compared together is asked for together.
    const few = !waiting[AHEAD / 2]?.compared;
    for (const item of waiting.slice(0, few ? AHEAD : Math.max(0, free))) item.compared ??= this.#compare(item);
    for (const item of waiting.slice(0, Math.max(0, free))) void this.#begin(item);
  }

  /** @param {Item} item */
  async #begin(item) {
    const control = new AbortController();
    item.control = control;
    item.stage = "sending";
    item.problem = null;
    this.hands.changed(item);
    try {
      if (!item.anyway) await Promise.race([item.compared, later(GRACE)]);
      let job = item.doubtful ? await this.hands.twinOf(item) : null;
      if (job?.id === item.twin?.id) job = null; // known before
      if (control.signal.aborted) return;
      job ??= await this.hands.deliver(item, {
        signal: control.signal,
        progress: this.#meter(item, control),
        begun: () => this.hands.keep(item),
      });
      // Even if it was to be halted: there is nothing left to halt.
      this.#arrived(item, job);
    } catch (wrong) {
      if (!control.signal.aborted) this.#failed(item, wrong);
    }
    this.next();
  }

  /** Ask whether an item is already here, as long as it could still be spared. @param {Item} item */
  async #compare(item) {
    const twin = await this.hands.twinOf(item);
    if (!twin || item.anyway || item.doubtful || item.sent > 0.9 * item.size) return;
    if (item.stage !== "waiting" && item.stage !== "sending") return;
    item.twin = twin;
    this.#halt(item, "asking");
  }

  /**
   * @param {Item} item
   * @param {AbortController} control
   * @returns {(sent: number) => void}
   */
  #meter(item, control) {
    const first = Math.max(item.sent, item.url ? 0 : item.size / 2); // what is sent into a dead line at most
    let [at, before] = [performance.now(), item.sent];
    item.speed = 0;
    return (sent) => {
      if (control.signal.aborted) return;
      const now = performance.now();
      if (now - at >= 500) {
        const speed = Math.max(0, ((sent - before) / (now - at)) * 1000);
        item.speed = item.speed ? 0.7 * item.speed + 0.3 * speed : speed;
        [at, before] = [now, sent];
      }
      item.sent = Math.min(sent, item.size);
      if (item.sent > first) this.#recovered();
      this.hands.changed(item);
    };
  }

  /**
   * @param {Item} item
   * @param {Job} job
   */
  #arrived(item, job) {
    if (item.stage === "cancelled") return this.hands.takeBack(item);
    this.#recovered();
    item.stage = "sent";
    item.sent = item.size;
    item.job = job.id;
    this.hands.drop(item);
    this.hands.changed(item);
  }

  /**
   * @param {Item} item
   * @param {unknown} wrong
   */
  #failed(item, wrong) {
    if (!(wrong instanceof Refused)) throw wrong;
    const { problem } = wrong;
    const { status, code } = problem;
    item.problem = problem;
    item.speed = 0;
    if (code === "lost" && !item.url) item.doubtful = true;
    if (!item.url) item.sent = 0;
    if (status === 401) {
      this.locked = true;
      item.stage = "locked";
      this.#tell(item);
    } else if ([429, 503].includes(status) && problem.retryAfter !== null) {
      const all = status === 503 || problem.retryAfter <= MINUTES;
      this.#hold(item, problem.retryAfter * 1000, all);
    } else if (code === "lost" || AWAY.includes(status) ||
        (status === 500 && ++item.stumbles < STUMBLES)) {
      this.#hold(item, this.heldUntil > Date.now() ? 0 : this.#backOff(), true);
    } else {
      this.#refuse(item, problem);
    }
  }

  /** The server is there again. */
  #recovered() {
    if (!this.losses) return;
    this.losses = 0;
    this.heldUntil = 0;
    for (const item of this.items) if (item.problem?.code === "lost") item.until = 0;
    this.next();
  }

  /** @returns {number} milliseconds: longer with each loss, and by chance, so that not all come back at once */
  #backOff() {
    const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.losses);
    this.losses += 1;
    return most * (0.5 + Math.random() / 2);
  }

  /**
   * Keep an item waiting.
   * @param {Item} item
   * @param {number} wait  milliseconds
   * @param {boolean} all  whether what has not begun waits with it
   */
  #hold(item, wait, all) {
    item.until = Math.max(this.heldUntil, Date.now() + wait);
    if (all) this.heldUntil = item.until;
    item.stage = "held";
    this.#tell(item);
  }

  /**
   * @param {Item} item
   * @param {"paused" | "asking" | "cancelled"} stage
   */
  #halt(item, stage) {
    const sending = item.stage === "sending";
    item.stage = stage;
    item.speed = 0;
    if (!item.url) item.sent = 0;
    if (sending) item.control.abort();
    this.#tell(item);
    if (sending) this.next();
  }

  /**
   * @param {Item} item
   * @param {Problem} problem
   */
  #refuse(item, problem) {
    item.stage = "refused";
    item.problem = problem;
    this.#tell(item);
  }

  /** @param {Item} item */
  #tell(item) {
    if (item.stage !== "cancelled") this.hands.keep(item);
    this.hands.changed(item);
  }
}

/** @param {number} wait  milliseconds @returns {Promise<void>} */
function later(wait) {
  return new Promise((resolve) => setTimeout(resolve, wait));
}
