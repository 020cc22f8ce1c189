// @ts-check
/**
 * SHA-256 of bytes that come piece by piece (FIPS 180-4): WebCrypto takes only a whole, and only over HTTPS.
 */

const K = new Int32Array(64);
const FIRST = new Int32Array(8);
derive();

/** The constants: the first 32 bits of the fractions of the primes' cube and square roots. */
function derive() {
  for (let n = 2, found = 0; found < 64; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d += 1) prime = n % d !== 0;
    if (!prime) continue;
    if (found < 8) FIRST[found] = fraction(Math.sqrt(n));
    K[found++] = fraction(Math.cbrt(n));
  }
}

/** @param {number} x @returns {number} */
function fraction(x) {
  return ((x - Math.floor(x)) * 0x100000000) | 0;
}

/**
 * A count of bytes as the two 32-bit halves of a count of bits; right up to 2 ** 53 bytes.
 * @param {number} bytes
 * @returns {[number, number]}
 */
export function bits(bytes) {
  return [Math.floor(bytes / 0x20000000), (bytes % 0x20000000) * 8];
}

export class Sha256 {
  #state = FIRST.slice();
  #words = new Int32Array(64);
  #rest = new Uint8Array(64);
  #bytes = 0;

  /** @param {Uint8Array} data @returns {this} */
  update(data) {
    let at = 0;
    const filled = this.#bytes % 64;
    this.#bytes += data.length;
    if (filled) {
      at = Math.min(64 - filled, data.length);
      this.#rest.set(data.subarray(0, at), filled);
      if (filled + at < 64) return this;
      this.#blocks(this.#rest, 0, 64);
    }
    const whole = data.length - ((data.length - at) % 64);
    this.#blocks(data, at, whole);
    this.#rest.set(data.subarray(whole));
    return this;
  }

  /** End it. @returns {string} 64 hex digits */
  hex() {
    const filled = this.#bytes % 64;
    const tail = new Uint8Array(filled < 56 ? 64 : 128);
    tail.set(this.#rest.subarray(0, filled));
    tail[filled] = 0x80;
    const view = new DataView(tail.buffer);
    const [high, low] = bits(this.#bytes);
    view.setUint32(tail.length - 8, high);
    view.setUint32(tail.length - 4, low);
    this.#blocks(tail, 0, tail.length);
    return [...this.#state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /**
   * @param {Uint8Array} data
   * @param {number} from
   * @param {number} to  a multiple of 64 further
   */
  #blocks(data, from, to) {
    const w = this.#words;
    const state = this.#state;
    for (; from < to; from += 64) {
      for (let i = 0, at = from; i < 16; i += 1, at += 4) {
        w[i] = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
      }
      for (let i = 16; i < 64; i += 1) {
        const x = w[i - 15];
        const y = w[i - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
      }
      let a = state[0];
      let b = state[1];
      let c = state[2];
      let d = state[3];
      let e = state[4];
      let f = state[5];
      let g = state[6];
      let h = state[7];
      for (let i = 0; i < 64; i += 1) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + t1) | 0;
        d = c;
        c = b;
        b = a;
        a = (t1 + t2) | 0;
      }
      state[0] += a;
      state[1] += b;
      state[2] += c;
      state[3] += d;
      state[4] += e;
      state[5] += f;
      state[6] += g;
      state[7] += h;
    }
  }
}
