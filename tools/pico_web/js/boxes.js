/* ISO base-media boxes (ISO/IEC 14496-12), and those of HEIF (ISO/IEC 23008-12): reading them.

   A box is { kind, start, body, end }; all offsets count from the beginning of the file. */

import { corrupt, unsupported } from "./errors.js";

export const COMPACT_HEADER = 8;
export const LARGE_HEADER = 16;
const MOST_ENTRIES = 65535; // in any one list, so that a small file cannot ask for much memory

export const named = kind => (/^[0-9A-Za-z]{4}$/.test(kind) ? kind : JSON.stringify(kind));
export const at = box => `box ${named(box.kind)} at byte ${box.start}`;

export function unsigned(data, place, width) {
  let value = 0;
  for (let i = 0; i < width; i += 1) value = value * 256 + data[place + i];
  return value;
}

/* Four characters, one for each byte. */
export const kindAt = (data, place) => String.fromCharCode(...data.subarray(place, place + 4));

/* The box at `start`, which must end at or before `limit`. Its body need not be in `data` yet. */
export function readBox(data, start, limit) {
  let body = start + COMPACT_HEADER;
  if (body > limit) throw corrupt(`byte ${start}: ${limit - start} bytes are left, too few for the header of a box`);
  let size = unsigned(data, start, 4);
  const kind = kindAt(data, start + 4);
  if (size === 1) {
    body = start + LARGE_HEADER;
    if (body > limit) throw corrupt(`box ${named(kind)} at byte ${start}: its 64-bit size is cut off`);
    size = unsigned(data, start + COMPACT_HEADER, 8);
  }
  if (size < body - start || size > limit - start) {
    throw corrupt(`box ${named(kind)} at byte ${start}: its size is ${size}, which cannot be`);
  }
  return { kind, start, body, end: start + size };
}

/* The boxes that fill data[start ... end) exactly. */
export function children(data, start, end) {
  const found = [];
  while (start < end) {
    checkEntries(found.length + 1, "boxes");
    found.push(readBox(data, start, end));
    start = found.at(-1).end;
  }
  return found;
}

export function checkEntries(number, where) {
  if (number > MOST_ENTRIES) throw corrupt(`${where}: ${number} entries in one list; ${MOST_ENTRIES} is the limit`);
}

/* The one box of this kind. */
export function only(boxes, kind, where) {
  const matching = boxes.filter(box => box.kind === kind);
  if (matching.length !== 1) throw corrupt(`${where}: ${matching.length || "no"} box ${kind} where there must be one`);
  return matching[0];
}

/* Reads the fields of one box from first to last, and never outside it. */
export class Cursor {
  constructor(data, box) {
    Object.assign(this, { data, box, position: box.body });
  }

  get left() { return this.box.end - this.position; }

  /* The flags of a full box, whose version must be this one. */
  version(wanted) {
    const both = this.unsigned(4);
    const [version, flags] = [both >>> 24, both & 0xffffff];
    if (version !== wanted) throw unsupported(`${at(this.box)}: version ${version}, this page reads ${wanted}`);
    return flags;
  }

  take(length) {
    if (length > this.left) {
      throw corrupt(`${at(this.box)}: ${length} bytes expected, ${this.left} left in the box`);
    }
    this.position += length;
    return this.data.subarray(this.position - length, this.position);
  }

  unsigned(width) { return unsigned(this.take(width), 0, width); }

  kind() { return kindAt(this.take(4), 0); }

  /* The next UTF-8 string, which ends with a zero byte. */
  text() {
    const end = this.data.subarray(this.position, this.box.end).indexOf(0);
    if (end < 0) throw corrupt(`${at(this.box)}: a string without its final zero byte`);
    const bytes = this.take(end + 1).subarray(0, end);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw corrupt(`${at(this.box)}: a string that is not UTF-8`);
    }
  }

  /* Refuses at once if so many entries of this length cannot be there; returns the number. */
  count(number, length) {
    if (number * length > this.left) {
      throw corrupt(`${at(this.box)}: ${number} entries announced, ${this.left} bytes left for them`);
    }
    return number;
  }

  finish() {
    if (this.left) throw corrupt(`${at(this.box)}: ${this.left} bytes left over`);
  }
}
