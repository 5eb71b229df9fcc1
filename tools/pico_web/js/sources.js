/* Where the bytes of a file come from: memory, a Blob, or the network as they arrive.

   A source has `size` (Infinity as long as it is not known) and read(offset, length), a promise of the bytes, fewer where
   the file ends early. */

import { PicoError } from "./errors.js";

class Bytes {
  constructor(bytes) { Object.assign(this, { bytes, size: bytes.length }); }

  async read(offset, length) { return this.bytes.subarray(offset, offset + length); }

  async ended() {}

  stop() {}
}

class OfBlob {
  constructor(blob) { Object.assign(this, { blob, size: blob.size }); }

  async read(offset, length) {
    try {
      return new Uint8Array(await this.blob.slice(offset, offset + length).arrayBuffer());
    } catch (error) {
      throw new PicoError("ReadError", `the file cannot be read: ${error.message}`);
    }
  }

  async ended() {}

  stop() {}
}

/* The body of an answer. What came is kept; readers wait for what is still to come. */
class Arriving {
  constructor(response) {
    const length = Number(response.headers.get("content-length"));
    const isPlain = !response.headers.get("content-encoding"); // else it is the length of something else
    this.size = Infinity;
    this.bytes = new Uint8Array(isPlain && length > 0 && length < 1 << 28 ? length : 1 << 16);
    this.have = 0;
    this.waiting = [];
    this.reader = response.body.getReader();
    this.end = this.pump();
    this.end.catch(() => {});
  }

  async pump() {
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        this.append(value);
        this.wake();
      }
    } catch (error) {
      this.failed = new PicoError("ReadError", `the file stopped arriving: ${error.message}`);
      throw this.failed;
    } finally {
      this.size = this.have;
      this.wake();
    }
  }

  append(value) {
    if (this.have + value.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.have + value.length));
      larger.set(this.bytes.subarray(0, this.have));
      this.bytes = larger;
    }
    this.bytes.set(value, this.have);
    this.have += value.length;
  }

  wake() {
    const ready = this.waiting.filter(one => one.end <= this.have || this.size !== Infinity);
    this.waiting = this.waiting.filter(one => !ready.includes(one));
    for (const one of ready) one.resolve();
  }

  async read(offset, length) {
    const end = offset + length;
    if (end > this.have && this.size === Infinity) await new Promise(resolve => this.waiting.push({ end, resolve }));
    if (end > this.have && this.failed) throw this.failed;
    return this.bytes.subarray(offset, Math.min(end, this.have));
  }

  ended() { return this.end; }

  stop() { this.reader.cancel().catch(() => {}); }
}

/* The source for a Uint8Array, an ArrayBuffer, a Blob, a Response, or an address. */
export async function sourceOf(given, signal) {
  if (given instanceof Uint8Array) return new Bytes(given);
  if (given instanceof ArrayBuffer) return new Bytes(new Uint8Array(given));
  if (given instanceof Blob) return new OfBlob(given);
  const response = given instanceof Response ? given : await fetched(given, signal);
  if (!response.ok) throw new PicoError("ReadError", `the server answers ${response.status} ${response.statusText}`.trim());
  return response.body ? new Arriving(response) : new Bytes(new Uint8Array(await response.arrayBuffer()));
}

async function fetched(address, signal) {
  try {
    return await fetch(address, { signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new PicoError("ReadError", `${address} cannot be fetched: ${error.message}`);
  }
}
