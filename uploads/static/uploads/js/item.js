// @ts-check
/** One file on its way, as queue and page know it. */
import { Sha256 } from "./sha256.js";

export const SMALL = 8 << 20; // bytes up to which starting anew costs less than resuming
const SAMPLE = 64 << 10;

/**
 * waiting, then sending, then sent. Refused for a while, or cut off, it is held; `asking` whether to send what is
 * already here; `locked` until somebody signs in; `left` from an earlier visit, without its file.
 *
 * @typedef {"waiting" | "sending" | "held" | "paused" | "asking" | "locked" | "left" | "refused" | "sent" |
 *   "cancelled"} Stage
 * @typedef {import("./transport.js").Problem} Problem
 * @typedef {import("./transport.js").Job} Job
 */

/** @type {readonly Stage[]} what is still to be sent */
export const OPEN = ["waiting", "sending", "held", "locked"];

export class Item {
  /**
   * @param {{name: string, size: number, modified: number, path: string}} what
   * @param {File | null} file
   */
  constructor(what, file) {
    this.name = what.name;
    this.size = what.size;
    this.modified = what.modified;
    this.path = what.path; // within a chosen folder
    this.file = file;
    /** @type {FileSystemFileHandle | null} */
    this.handle = null;
    this.key = newKey();
    /** @type {Stage} */
    this.stage = file ? "waiting" : "left";
    this.url = ""; // of its resumable upload, once that is created
    this.print = ""; // of its file, once that is begun
    this.halted = false; // whether it was paused on an earlier visit
    this.sent = 0; // bytes
    this.speed = 0; // bytes a second, smoothed
    this.note = ""; // the name of a text that says what was odd
    /** @type {Problem | null} */
    this.problem = null;
    /** @type {Job | null} one of one's own with the same content */
    this.twin = null;
    /** @type {Promise<void> | null} */
    this.compared = null; // with what is already here
    this.anyway = false; // to be sent although it is already here
    this.doubtful = false; // it may have arrived, but the answer was lost
    this.stumbles = 0; // answers in a row that said the server is broken
    this.job = ""; // its job's id, once the server took it
    this.asked = false; // whether the list was asked for after it was sent
    this.until = 0; // when held: the time, in milliseconds, at which it goes on
    this.control = new AbortController();
  }

  /**
   * @param {File} file
   * @param {string} [path]  where it lay in a dropped folder
   */
  static of(file, path = file.webkitRelativePath || file.name) {
    return new Item({ name: file.name, size: file.size, modified: file.lastModified, path }, file);
  }

  /** @returns {boolean} */
  get open() {
    return OPEN.includes(this.stage);
  }

  /** @returns {string} the id of the job it is or will be, or nothing */
  get jobId() {
    return this.job || this.url.replace(/\/$/, "").split("/").pop() || "";
  }
}

/** @returns {string} without crypto.randomUUID, which plain HTTP has not */
export function newKey() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n.toString(36)).join("");
}

/**
 * A print of a file's first and last bytes: with name, size and time it tells the same file from a changed one.
 * @param {File} file
 * @returns {Promise<string>}
 */
export async function printOf(file) {
  const hash = new Sha256();
  for (const part of [file.slice(0, SAMPLE), file.slice(-SAMPLE)]) {
    hash.update(new Uint8Array(await part.arrayBuffer()));
  }
  return hash.hex();
}
