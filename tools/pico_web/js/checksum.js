/* The checksum of the format: BLAKE2b (RFC 7693) with a digest of 8 bytes, no key, no salt.

   JavaScript has no integers of 64 bits that are fast, so a word is two numbers of 32 bits, the lower one first. */

const START = new Uint32Array([
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
  0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19]);
const ORDERS = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4], [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13], [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11], [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5], [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0]];
const ROUNDS = [...ORDERS, ORDERS[0], ORDERS[1]];
const COLUMNS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];
const BLOCK = 128;
const DIGEST = 8;

const v = new Uint32Array(32);
const words = new Uint32Array(32);

/* v[a] += v[b] + words[m], or without the last where m is below 0. */
function add(a, b, m) {
  let low = v[2 * a] + v[2 * b];
  let high = v[2 * a + 1] + v[2 * b + 1];
  if (m >= 0) {
    low += words[2 * m];
    high += words[2 * m + 1];
  }
  v[2 * a] = low;
  v[2 * a + 1] = high + Math.floor(low / 0x100000000);
}

/* v[d] = (v[d] ^ v[a]) rotated to the right. */
function mix(d, a, by) {
  const low = v[2 * d] ^ v[2 * a];
  const high = v[2 * d + 1] ^ v[2 * a + 1];
  if (by === 32) {
    v[2 * d] = high;
    v[2 * d + 1] = low;
  } else if (by === 63) {
    v[2 * d] = (low << 1) | (high >>> 31);
    v[2 * d + 1] = (high << 1) | (low >>> 31);
  } else {
    v[2 * d] = (low >>> by) | (high << (32 - by));
    v[2 * d + 1] = (high >>> by) | (low << (32 - by));
  }
}

function compress(state, count, last) {
  v.set(state);
  v.set(START, 16);
  v[24] ^= count >>> 0;
  v[25] ^= Math.floor(count / 0x100000000);
  if (last) {
    v[28] = ~v[28];
    v[29] = ~v[29];
  }
  for (const order of ROUNDS) {
    for (let i = 0; i < 8; i += 1) {
      const [a, b, c, d] = COLUMNS[i];
      add(a, b, order[2 * i]);
      mix(d, a, 32);
      add(c, d, -1);
      mix(b, c, 24);
      add(a, b, order[2 * i + 1]);
      mix(d, a, 16);
      add(c, d, -1);
      mix(b, c, 63);
    }
  }
  for (let i = 0; i < 16; i += 1) state[i] ^= v[i] ^ v[i + 16];
}

/* The 8 bytes of the checksum of some bytes. */
export function checksum(bytes) {
  const state = START.slice();
  state[0] ^= 0x01010000 ^ DIGEST;
  const block = new Uint8Array(words.buffer);
  let place = 0;
  while (bytes.length - place > BLOCK) {
    block.set(bytes.subarray(place, place + BLOCK));
    place += BLOCK;
    compress(state, place, false);
  }
  block.fill(0);
  block.set(bytes.subarray(place));
  compress(state, bytes.length, true);
  return new Uint8Array(state.buffer, 0, DIGEST);
}

/* Whether some bytes have this checksum. */
export function matches(bytes, wanted) {
  const found = checksum(bytes);
  return wanted.length === DIGEST && found.every((byte, i) => byte === wanted[i]);
}
