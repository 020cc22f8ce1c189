// @ts-check
/** A worker: takes {key, file}, answers {key, sha256}, with an empty digest where the file cannot be read. */
import { Sha256 } from "./sha256.js";

const PIECE = 1 << 20;

/** @param {Blob} file @returns {Promise<string>} */
async function digest(file) {
  const hash = new Sha256();
  for (let at = 0; at < file.size; at += PIECE) {
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
  }
  return hash.hex();
}

let before = Promise.resolve(); // one after the other: the first is the next to be sent

addEventListener("message", ({ data: { key, file } }) => {
  before = before.then(async () => {
    const sha256 = await digest(file).catch(() => ""); // whoever sends it will notice too, and say so
    postMessage({ key, sha256 });
  });
});
