// @ts-check
/**
 * The files this page sends: a few at a time, in order. Knows no DOM; tells each change of an item to `changed`.
 *
 * An item is waiting, then sending, then sent, refused or cancelled; refused for a while (429, 503 with
 * Retry-After) it is held, and everything that has not begun waits with it.
 */
import { Refused } from "./transport.js";

const AT_ONCE = 3;

/**
 * @typedef {"waiting" | "held" | "sending" | "sent" | "refused" | "cancelled"} Stage
 * @typedef {import("./transport.js").Problem} Problem
 */

export class Item {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    /** @type {Stage} */
    this.stage = "waiting";
    this.sent = 0; // bytes
    this.speed = 0; // bytes a second, smoothed
    /** @type {Problem | null} */
    this.problem = null;
    this.job = ""; // its job's id, once the server took it
    this.asked = false; // whether the list was asked for after it was sent
    this.until = 0; // when held: the time, in milliseconds, at which it goes on
    this.control = new AbortController();
  }
}

export class Queue {
  /**
   * @param {typeof import("./transport.js").send} send
   * @param {(item: Item) => void} changed
   * @param {number} largest  bytes a file may have
   */
  constructor(send, changed, largest) {
    this.send = send;
    this.changed = changed;
    this.largest = largest;
    /** @type {Item[]} */
    this.items = [];
    this.heldUntil = 0;
    this.timer = 0;
  }

  /** @returns {boolean} whether anything is still to be sent */
  get busy() {
    return this.items.some((item) => ["waiting", "held", "sending"].includes(item.stage));
  }

  /** @param {File[]} files */
  add(files) {
    for (const file of files) {
      const item = new Item(file);
      this.items.push(item);
      if (file.size > this.largest) {
        this.#refuse(item, { status: 413, code: "too_large", detail: "", retryAfter: null });
      } else {
        this.changed(item);
      }
    }
    this.next();
  }

  /** @param {Item} item */
  cancel(item) {
    const sending = item.stage === "sending";
    item.stage = "cancelled";
    if (sending) item.control.abort();
    this.#drop(item);
  }

  cancelAll() {
    for (const item of [...this.items]) {
      if (["waiting", "held", "sending"].includes(item.stage)) this.cancel(item);
    }
  }

  /** @param {Item} item */
  retry(item) {
    item.stage = "waiting";
    item.sent = 0;
    item.problem = null;
    item.control = new AbortController();
    this.changed(item);
    this.next();
  }

  /** Forget an item: its job's own row has taken over, or its refusal was read. @param {Item} item */
  forget(item) {
    this.items = this.items.filter((one) => one !== item);
  }

  /** Begin what may begin now. */
  next() {
    clearTimeout(this.timer);
    const wait = this.heldUntil - Date.now();
    if (wait > 0) {
      this.timer = setTimeout(() => this.next(), wait);
      return;
    }
    for (const item of this.items) {
      if (item.stage === "held") {
        item.stage = "waiting";
        this.changed(item);
      }
    }
    let free = AT_ONCE - this.items.filter((item) => item.stage === "sending").length;
    for (const item of this.items) {
      if (free <= 0) break;
      if (item.stage === "waiting") {
        free -= 1;
        this.#begin(item);
      }
    }
  }

  /** @param {Item} item */
  async #begin(item) {
    item.stage = "sending";
    item.problem = null;
    this.changed(item);
    let [at, before] = [performance.now(), 0];
    const progress = (/** @type {number} */ sent) => {
      const now = performance.now();
      if (now - at >= 500) {
        const speed = ((sent - before) / (now - at)) * 1000;
        item.speed = item.speed ? 0.7 * item.speed + 0.3 * speed : speed;
        [at, before] = [now, sent];
      }
      item.sent = Math.min(sent, item.file.size);
      this.changed(item);
    };
    try {
      const job = await this.send(item.file, { signal: item.control.signal, progress });
      item.stage = "sent";
      item.job = job.id;
      this.changed(item);
    } catch (wrong) {
      this.#failed(item, wrong);
    }
    this.next();
  }

  /**
   * @param {Item} item
   * @param {unknown} wrong
   */
  #failed(item, wrong) {
    if (item.stage === "cancelled") return; // its row has gone already
    if (!(wrong instanceof Refused)) throw wrong;
    const { problem } = wrong;
    if ([429, 503].includes(problem.status) && problem.retryAfter !== null) {
      item.stage = "held";
      item.sent = 0;
      item.problem = problem;
      this.heldUntil = Math.max(this.heldUntil, Date.now() + problem.retryAfter * 1000);
      item.until = this.heldUntil;
      this.changed(item);
    } else {
      this.#refuse(item, problem);
    }
  }

  /**
   * @param {Item} item
   * @param {Problem} problem
   */
  #refuse(item, problem) {
    item.stage = "refused";
    item.problem = problem;
    this.changed(item);
  }

  /** @param {Item} item */
  #drop(item) {
    this.forget(item);
    this.changed(item);
    this.next();
  }
}
