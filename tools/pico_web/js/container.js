/* The headers of a .pico file, and its items and tiles, checked as docs/format.md says. The order of the checks is that
   of pico_core/container.py and container_headers.py. */

import { COMPACT_HEADER, Cursor, LARGE_HEADER, at, checkEntries, children, kindAt, named, only, readBox,
  unsigned } from "./boxes.js";
import { matches } from "./checksum.js";
import { PicoError, corrupt, truncated, unsupported } from "./errors.js";
import { OVERLAP, WINDOW, tileCount } from "./tiling.js";

export const LEARNED = 0;
export const WEBP_LOSSLESS = 1;
export const AVIF = 2;

const FORMAT_MAJOR = 1;
const CODEC_VERSION = 1;
const CHECKSUM_BYTES = 8;
const TILE_ENTRY_BYTES = 14;
const MOST_HEADER_BYTES = 1 << 24;
const MOST_TILE_BYTES = 1 << 24;
const MOST_TOP_BOXES = 64;
const MOST_PIXELS_A_SIDE = 65535;
const NO_QUALITY = 255;
const FIRST_READ = 4096;
const FILE_TYPE_BYTES = 16;
const KNOWN_PROPERTIES = ["picC", "ispe", "pixi", "colr", "auxC"];
const ALPHA_URN = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0";

/* Open a file: the headers are read and checked. `source` has `size` (Infinity as long as it is not known) and
   read(offset, length), a promise of bytes. Raises PicoError. */
export async function openContainer(source, { allowTruncated = false } = {}) {
  const { data, top } = await readHeaders(source);
  const container = new Container(source, parseHeaders(data, top), top.at(-1));
  container.checkEnd(allowTruncated);
  return container;
}

class Container {
  constructor(source, headers, media) {
    Object.assign(this, { source, media, ...headers });
  }

  get isTruncated() { return this.source.size < this.media.end; }

  /* Called again where the size was not known at first. */
  checkEnd(allowTruncated) {
    const { size } = this.source;
    if (Number.isFinite(size) && size > this.media.end) {
      throw new PicoError("TrailingDataError",
        `${size - this.media.end} bytes follow the end of the picture at byte ${this.media.end}`);
    }
    if (!allowTruncated) present(this.source, this.media.end, at(this.media));
  }

  /* The bytes of an item, their checksum checked; null if there is no such item. */
  async item(item) {
    if (!item) return null;
    const bytes = await read(this.source, item.offset, item.length, item.label);
    if (!matches(bytes, item.checksum)) throw mismatch(item.label);
    return bytes;
  }

  /* The Exif bytes as the source of the picture had them. */
  async exifBytes() {
    const bytes = await this.item(this.exif);
    if (!bytes) return null;
    if (bytes.length < 4 || unsigned(bytes, 0, 4) > bytes.length - 4) {
      throw corrupt(`${this.exif.label}: its TIFF header would lie outside its ${bytes.length} bytes`);
    }
    return bytes.subarray(4);
  }

  /* The payload of a tile; whoever decodes it checks the checksum. */
  async tileBytes(entry, index) {
    return read(this.source, entry.offset, entry.length, `tile ${index}`);
  }

  /* Read everything and check all checksums. */
  async verify() {
    this.checkEnd(false);
    for (const item of this.items) {
      if (!item.tiles.length) await this.item(item);
      for (const [index, entry] of item.tiles.entries()) {
        const what = `${item.label}, tile ${index}`;
        if (!matches(await read(this.source, entry.offset, entry.length, what), entry.checksum)) throw mismatch(what);
      }
    }
    await this.exifBytes();
  }
}

export const mismatch = what => corrupt(`${what}: the checksum does not match; the file is damaged there`);

function present(source, end, what) {
  if (end > source.size) throw truncated(`${what}: needed up to byte ${end}, but the file ends at byte ${source.size}`);
}

async function read(source, offset, length, what) {
  present(source, offset + length, what);
  const bytes = await source.read(offset, length);
  if (bytes.length !== length) throw truncated(`${what}: the file ends too early`);
  return bytes;
}

// Headers

async function readHeaders(source) {
  let data = await source.read(0, Math.min(source.size, FIRST_READ));
  checkFileType(data);
  const top = [topBox(source, data, 0)];
  while (top.at(-1).kind !== "pidx") {
    data = await grown(source, data, top.at(-1));
    top.push(topBox(source, data, top.at(-1).end));
    if (top.length > MOST_TOP_BOXES) throw corrupt(`more than ${MOST_TOP_BOXES} boxes, and no pidx among them`);
  }
  const { end } = top.at(-1);
  data = await grown(source, data, top.at(-1));
  top.push(topBox(source, data, end));
  if (!matches(data.subarray(0, end - CHECKSUM_BYTES), data.subarray(end - CHECKSUM_BYTES, end))) {
    throw corrupt(`headers (bytes 0 to ${end}): their checksum does not match; they are damaged, or a program that `
      + "does not know .pico files has edited them");
  }
  if (top.at(-1).kind !== "mdat") throw corrupt(`${at(top.at(-1))}: box mdat must come here, right after pidx`);
  return { data: data.subarray(0, top.at(-1).body), top };
}

/* `data`, made longer to reach past a box and over the header of the box after it. */
async function grown(source, data, box) {
  if (box.kind === "mdat") throw corrupt(`${at(box)}: box pidx must come before it`);
  if (box.end > MOST_HEADER_BYTES) {
    throw corrupt(`${at(box)}: the headers reach to byte ${box.end}; ${MOST_HEADER_BYTES} is the limit`);
  }
  present(source, box.end, at(box));
  const wanted = Math.min(box.end + LARGE_HEADER, source.size);
  return wanted > data.length ? source.read(0, wanted) : data;
}

function topBox(source, data, start) {
  const have = length => {
    present(source, start + length, "headers");
    if (start + length > data.length) throw truncated("headers: the file ends too early");
  };
  have(COMPACT_HEADER);
  if (unsigned(data, start, 4) === 1) have(LARGE_HEADER);
  return readBox(data, start, Infinity);
}

function checkFileType(data) {
  const magic = "ftyppico".slice(0, Math.max(0, data.length - 4));
  if (String.fromCharCode(...data.subarray(4, 12)) !== magic) {
    throw new PicoError("NotPicoError", "the file does not begin as a .pico file does");
  }
  if (data.length < FILE_TYPE_BYTES) throw truncated(`the file has ${data.length} bytes, too few for any .pico file`);
  const [size, major] = [unsigned(data, 0, 4), unsigned(data, 12, 2)];
  if (size < FILE_TYPE_BYTES) throw corrupt(`box ftyp: its size is ${size}, too small for a brand and a version`);
  if (major !== FORMAT_MAJOR) {
    throw unsupported(`the file has format version ${major}, this page reads ${FORMAT_MAJOR}; a later one may read it`);
  }
}

function parseHeaders(data, top) {
  const described = readMeta(data, only(top, "meta", "file"));
  const items = matchItems(described, readIndex(data, top.at(-2)));
  checkLayout(items, top.at(-1));
  const primary = items.find(item => item.id === described.primary);
  if (primary.kind !== "pico") throw corrupt(`${primary.label}: the primary item must be of type pico`);
  const pointing = new Set(described.references.filter(one => one.targets.includes(described.primary))
    .map(one => `${one.kind} ${one.source}`));
  const those = (kind, reference) => items.filter(one => one.kind === kind && pointing.has(`${reference} ${one.id}`));
  const alpha = theOnly(those("pico", "auxl").filter(one => isAlpha(data, described, one.id)));
  const xmp = theOnly(those("mime", "cdsc").filter(one => one.contentType === "application/rdf+xml"));
  const picture = readPicture(data, described, primary, alpha !== null);
  return {
    items,
    picture,
    tiles: primary.tiles,
    alphaTiles: alpha ? readAlpha(data, described, alpha, picture) : [],
    icc: readProfile(data, described),
    preview: theOnly(those("jpeg", "thmb")),
    exif: theOnly(those("Exif", "cdsc")),
    xmp,
    extras: items.filter(item => item.kind === "mime" && item !== xmp),
  };
}

// Boxes, each by itself

function readMeta(data, meta) {
  const cursor = new Cursor(data, meta);
  cursor.version(0);
  const inner = children(data, cursor.position, meta.end);
  const where = at(meta);
  const handler = new Cursor(data, only(inner, "hdlr", where));
  handler.version(0);
  if (kindAt(handler.take(8), 4) !== "pict") throw corrupt(`${at(handler.box)}: the handler must be pict`);
  return {
    primary: readPrimary(data, only(inner, "pitm", where)),
    infos: readInfos(data, only(inner, "iinf", where)),
    places: readPlaces(data, only(inner, "iloc", where)),
    properties: readProperties(data, only(inner, "iprp", where)),
    references: inner.some(box => box.kind === "iref") ? readReferences(data, only(inner, "iref", where)) : [],
  };
}

function readPrimary(data, box) {
  const cursor = new Cursor(data, box);
  cursor.version(0);
  const id = cursor.unsigned(2);
  cursor.finish();
  return id;
}

function readInfos(data, box) {
  const cursor = new Cursor(data, box);
  cursor.version(0);
  const announced = cursor.unsigned(2);
  const infos = new Map();
  const entries = children(data, cursor.position, box.end);
  for (const entry of entries) {
    const info = readInfo(data, entry);
    if (infos.has(info.id)) throw corrupt(`${at(entry)}: item ${info.id} is described twice`);
    infos.set(info.id, info);
  }
  if (entries.length !== announced) {
    throw corrupt(`${at(box)}: ${announced} items announced, ${entries.length} described`);
  }
  return infos;
}

function readInfo(data, box) {
  if (box.kind !== "infe") throw corrupt(`${at(box)}: box infe expected here`);
  const cursor = new Cursor(data, box);
  cursor.version(2);
  const [id, protection, kind] = [cursor.unsigned(2), cursor.unsigned(2), cursor.kind()];
  if (protection) throw unsupported(`${at(box)}: item ${id} is protected; such items cannot be read`);
  const name = cursor.text();
  return { id, kind, name, contentType: kind === "mime" ? cursor.text() : "" };
}

function readPlaces(data, box) {
  const cursor = new Cursor(data, box);
  cursor.version(0);
  const [widths, base] = [cursor.unsigned(1), cursor.unsigned(1)];
  if ((widths !== 0x44 && widths !== 0x88) || base) throw corrupt(`${at(box)}: sizes that cannot be`);
  const width = widths & 15;
  const places = new Map();
  const number = cursor.count(cursor.unsigned(2), 6 + 2 * width);
  for (let i = 0; i < number; i += 1) {
    const [id, reference, pieces] = [cursor.unsigned(2), cursor.unsigned(2), cursor.unsigned(2)];
    if (places.has(id)) throw corrupt(`${at(box)}: item ${id} is located twice`);
    if (reference || pieces !== 1) throw corrupt(`${at(box)}: item ${id} must lie in this file in one piece`);
    places.set(id, { offset: cursor.unsigned(width), length: cursor.unsigned(width) });
  }
  cursor.finish();
  return places;
}

function readReferences(data, box) {
  const cursor = new Cursor(data, box);
  cursor.version(0);
  const references = [];
  let total = 0;
  for (const entry of children(data, cursor.position, box.end)) {
    const fields = new Cursor(data, entry);
    const [source, number] = [fields.unsigned(2), fields.unsigned(2)];
    total += number;
    checkEntries(total, at(box));
    fields.count(number, 2);
    const targets = Array.from({ length: number }, () => fields.unsigned(2));
    fields.finish();
    references.push({ kind: entry.kind, source, targets });
  }
  return references;
}

function readProperties(data, box) {
  const inner = children(data, box.body, box.end);
  const shared = only(inner, "ipco", at(box));
  const all = children(data, shared.body, shared.end);
  const cursor = new Cursor(data, only(inner, "ipma", at(box)));
  if (cursor.version(0)) throw unsupported(`${at(cursor.box)}: its flags must be 0`);
  const found = new Map();
  let total = 0;
  const items = cursor.count(cursor.unsigned(4), 3);
  for (let i = 0; i < items; i += 1) {
    const id = cursor.unsigned(2);
    const numbers = cursor.take(cursor.unsigned(1));
    total += numbers.length;
    checkEntries(total, at(cursor.box));
    if (found.has(id)) throw corrupt(`${at(cursor.box)}: item ${id} has two lists of properties`);
    for (const number of numbers) {
      const place = number & 127;
      if (place < 1 || place > all.length) {
        throw corrupt(`${at(cursor.box)}: item ${id} has property ${place} of ${all.length}`);
      }
    }
    found.set(id, Array.from(numbers, number => ({ essential: number > 127, box: all[(number & 127) - 1] })));
  }
  cursor.finish();
  return found;
}

function readIndex(data, box) {
  const cursor = new Cursor(data, box);
  cursor.version(0);
  const found = new Map();
  let total = 0;
  const items = cursor.count(cursor.unsigned(2), 4 + CHECKSUM_BYTES);
  for (let i = 0; i < items; i += 1) {
    const [id, tiles] = [cursor.unsigned(2), cursor.unsigned(2)];
    if (found.has(id)) throw corrupt(`${at(box)}: item ${id} occurs twice`);
    total += tiles;
    checkEntries(total, at(box));
    const checksum = tiles ? null : cursor.take(CHECKSUM_BYTES);
    const bytes = cursor.take(tiles * TILE_ENTRY_BYTES);
    const entries = Array.from({ length: tiles }, (_, index) => {
      const entry = bytes.subarray(index * TILE_ENTRY_BYTES, (index + 1) * TILE_ENTRY_BYTES);
      return { coder: entry[0], rise: entry[1], length: unsigned(entry, 2, 4), checksum: entry.subarray(6) };
    });
    found.set(id, { checksum, tiles: entries });
  }
  cursor.take(CHECKSUM_BYTES);
  cursor.finish();
  return found;
}

// Items, as all boxes together describe them

function matchItems({ primary, infos, places, properties, references }, checks) {
  checkSame("iloc", [...places.keys()], infos, true);
  checkSame("pidx", [...checks.keys()], infos, true);
  checkSame("ipma", [...properties.keys()], infos, false);
  checkSame("iref", references.flatMap(one => [one.source, ...one.targets]), infos, false);
  checkSame("pitm", [primary], infos, false);
  return [...infos.values()].map(info => matchItem(info, places.get(info.id), checks.get(info.id)));
}

function checkSame(kind, ids, infos, complete) {
  for (const id of ids) if (!infos.has(id)) throw corrupt(`item ${id}: box ${kind} speaks of it, box iinf does not`);
  if (!complete) return;
  const known = new Set(ids);
  for (const id of infos.keys()) {
    if (!known.has(id)) throw corrupt(`item ${id}: box iinf speaks of it, box ${kind} does not`);
  }
}

function matchItem(info, { offset, length }, checks) {
  const label = `item ${info.id} (${named(info.kind)})`;
  if (Boolean(checks.tiles.length) !== (info.kind === "pico")) {
    throw corrupt(`${label}: items of type pico, and no others, are in tiles`);
  }
  let end = offset;
  for (const [index, tile] of checks.tiles.entries()) {
    if (tile.length < 1 || tile.length > MOST_TILE_BYTES) {
      throw corrupt(`${label}, tile ${index}: ${tile.length} bytes; must be 1 to ${MOST_TILE_BYTES}`);
    }
    if (tile.rise && (tile.coder === WEBP_LOSSLESS || tile.coder === AVIF)) {
      throw corrupt(`${label}, tile ${index}: a level of its own, which only learned tiles have`);
    }
    tile.offset = end;
    end += tile.length;
  }
  if (checks.tiles.length && end !== offset + length) {
    throw corrupt(`${label}: its tiles take ${end - offset} bytes, box iloc says ${length}`);
  }
  return { ...info, label, offset, length, checksum: checks.checksum, tiles: checks.tiles };
}

function checkLayout(items, media) {
  let end = media.body;
  for (const item of [...items].sort((a, b) => a.offset - b.offset || a.length - b.length)) {
    if (!item.length) throw corrupt(`${item.label}: it has no bytes`);
    if (item.offset !== end) {
      throw corrupt(`${item.label}: it starts at byte ${item.offset}, but must start at byte ${end}`);
    }
    end += item.length;
  }
  if (end !== media.end) throw corrupt(`${at(media)}: it ends at byte ${media.end}, but its items end at byte ${end}`);
}

// Parts that items play

function theOnly(candidates) {
  if (candidates.length > 1) throw corrupt("two items both claim a part that only one can play");
  return candidates[0] ?? null;
}

const boxesOf = ({ properties }, id, kind) =>
  (properties.get(id) ?? []).filter(one => one.box.kind === kind).map(one => one.box);

function isAlpha(data, described, id) {
  return boxesOf(described, id, "auxC").some(box => {
    const cursor = new Cursor(data, box);
    cursor.version(0);
    const end = Math.min(cursor.position + ALPHA_URN.length, box.end);
    return String.fromCharCode(...data.subarray(cursor.position, end)) === ALPHA_URN;
  });
}

function readProfile(data, described) {
  const profiles = boxesOf(described, described.primary, "colr")
    .filter(box => box.end >= box.body + 4 && kindAt(data, box.body) === "prof");
  if (profiles.length > 1 || profiles.some(box => box.end === box.body + 4)) {
    throw corrupt("the ICC profile of the picture is empty, or there are several");
  }
  return profiles.length ? data.slice(profiles[0].body + 4, profiles[0].end) : null;
}

function readPicture(data, described, item, hasAlpha) {
  for (const { essential, box } of described.properties.get(item.id) ?? []) {
    if (essential && !KNOWN_PROPERTIES.includes(box.kind)) {
      throw unsupported(`${item.label}: it needs ${at(box)}, unknown here; a later page may read it`);
    }
  }
  const [width, height] = readSize(data, only(boxesOf(described, item.id, "ispe"), "ispe", item.label));
  const picture = readConfiguration(data, only(boxesOf(described, item.id, "picC"), "picC", item.label));
  Object.assign(picture, { width, height, hasAlpha });
  for (const box of boxesOf(described, item.id, "pixi")) {
    const cursor = new Cursor(data, box);
    cursor.version(0);
    const bits = cursor.take(cursor.unsigned(1));
    if (bits.length !== picture.channels || bits.some(one => one !== 8)) {
      throw corrupt(`${at(box)}: it must say ${picture.channels} channels of 8 bits`);
    }
  }
  if (item.tiles.length !== tileCount(width, height)) {
    throw corrupt(`${item.label}: ${item.tiles.length} tiles; ${width} x ${height} pixels take ${tileCount(width, height)}`);
  }
  if (picture.modelId === null && item.tiles.some(tile => tile.coder === LEARNED)) {
    throw corrupt(`${item.label}: a learned tile needs a model id, and there is none`);
  }
  return picture;
}

function readSize(data, box) {
  const cursor = new Cursor(data, box);
  cursor.version(0);
  const sides = [cursor.unsigned(4), cursor.unsigned(4)];
  cursor.finish();
  if (sides.some(side => side < 1 || side > MOST_PIXELS_A_SIDE)) {
    throw corrupt(`${at(box)}: ${sides.join(" x ")} pixels; sides must be 1 to ${MOST_PIXELS_A_SIDE}`);
  }
  return sides;
}

function readConfiguration(data, box) {
  const cursor = new Cursor(data, box);
  const version = cursor.unsigned(1);
  if (version !== CODEC_VERSION) {
    throw unsupported(`${at(box)}: codec version ${version}, this page reads ${CODEC_VERSION}; a later one may read it`);
  }
  const fields = cursor.take(24);
  const [channels, quality] = fields;
  const [level, window, overlap] = [2, 4, 6].map(place => unsigned(fields, place, 2));
  if (window !== WINDOW || overlap !== OVERLAP) {
    throw unsupported(`${at(box)}: tiles of ${window} pixels that share ${overlap}; this page reads ${WINDOW} and ${OVERLAP}`);
  }
  if ((channels !== 1 && channels !== 3) || (quality > 100 && quality !== NO_QUALITY)) {
    throw corrupt(`${at(box)}: ${channels} channels, quality ${quality}; that cannot be`);
  }
  const id = Array.from(fields.subarray(8), byte => byte.toString(16).padStart(2, "0")).join("");
  return { channels, level, quality: quality === NO_QUALITY ? null : quality, modelId: /^0*$/.test(id) ? null : id };
}

function readAlpha(data, described, item, picture) {
  const plane = readPicture(data, described, item, true);
  const differs = ["width", "height", "level", "quality", "modelId"].some(key => plane[key] !== picture[key]);
  if (plane.channels !== 1 || differs) throw corrupt(`${item.label}: the alpha plane does not fit the picture`);
  if (item.tiles.some(tile => tile.coder === LEARNED || tile.coder === AVIF)) {
    throw corrupt(`${item.label}: the alpha plane has a tile that is not lossless`);
  }
  return item.tiles;
}
