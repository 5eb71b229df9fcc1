/* A .pico file, opened: what its headers say, its preview and metadata, and its pixels. */

import { colourSpace } from "./colour.js";
import { LEARNED, openContainer } from "./container.js";
import { PicoError, corrupt } from "./errors.js";
import { orientationOf } from "./exif.js";
import { sourceOf } from "./sources.js";
import { Mosaic, shrunk, turned, upright, windowOf } from "./tiling.js";

const MOST_PIXELS = 1 << 28;
const MOST_PREVIEW_SIDE = 4096;
// Larger canvases stay empty on an iPhone, and take more memory than most machines like to give.
const MOST_SHOWN = /iPhone|iPad/.test(globalThis.navigator?.userAgent ?? "") ? 1 << 24 : 50_000_000;
const FAR = 1e9;
const MISSING = "rgb(128 128 128)";

export class PicoPicture {
  /* Open a Uint8Array, an ArrayBuffer, a Blob, a Response, or what is at an address. Raises PicoError.

     With allowTruncated a file that ends early opens too, and its missing tiles fail one by one. */
  static async open(given, pool, { allowTruncated = false, signal } = {}) {
    const source = await sourceOf(given, signal);
    try {
      const container = await openContainer(source, { allowTruncated });
      if (container.picture.modelId) pool.warm(container.picture.modelId);
      return new PicoPicture(container, pool, allowTruncated);
    } catch (error) {
      source.stop();
      throw error;
    }
  }

  constructor(container, pool, allowTruncated) {
    Object.assign(this, { container, pool, allowTruncated, orientation: 1 });
    const { width, height, channels, hasAlpha, quality, level, modelId } = container.picture;
    Object.assign(this, { storedWidth: width, storedHeight: height, channels, hasAlpha, quality, level, modelId });
    this.colours = colourSpace(container.icc);
  }

  /* Read the orientation, once, so that `width` and `height` are those of the upright picture. Damaged Exif counts as
     none; exif() says what is wrong. */
  async turn() {
    this.orientation = orientationOf(await this.container.exifBytes().catch(() => null));
    return this;
  }

  get size() { return upright(this.storedWidth, this.storedHeight, this.orientation); }

  get width() { return this.size[0]; }

  get height() { return this.size[1]; }

  get icc() { return this.container.icc; }

  get isTruncated() { return this.container.isTruncated; }

  /* What the page cannot do for this picture, in words; empty where all is well. */
  get note() { return this.colours.note; }

  exif() { return this.container.exifBytes(); }

  xmp() { return this.container.item(this.container.xmp); }

  /* The embedded JPEG as a Blob, null if there is none. A huge one, which would fill the memory, counts as damaged. */
  async preview() {
    const bytes = await this.container.item(this.container.preview);
    if (!bytes) return null;
    const [width, height] = jpegSize(bytes);
    if (!(width && height && Math.max(width, height) <= MOST_PREVIEW_SIDE)) throw corrupt("its preview is no small JPEG");
    return new Blob([bytes], { type: "image/jpeg" });
  }

  /* Read all of the file and check every checksum. Raises PicoError. */
  async verify() {
    await this.container.source.ended();
    return this.container.verify();
  }

  /* The pixels as they are stored, not turned: { width, height, data }, RGBA. Equal to those that pico_core gives out,
     bit for bit. Raises PicoError. */
  async decode({ signal } = {}) {
    const [width, height] = [this.storedWidth, this.storedHeight];
    this.checkSize(MOST_PIXELS);
    const data = new Uint8ClampedArray(4 * width * height);
    const copy = ({ box: [left, top, right, bottom], pixels, row, x, y }) => {
      for (let i = 0; i < bottom - top; i += 1) {
        const start = 4 * ((y + i) * row + x);
        data.set(pixels.subarray(start, start + 4 * (right - left)), 4 * ((top + i) * width + left));
      }
    };
    const failed = await this.eachTile((parts, pixels) => {
      parts.forEach(copy);
      this.pool.recycle(pixels);
    }, { signal, strict: true });
    if (failed.length) throw failed[0];
    await this.complete();
    return { width, height, data };
  }

  /* Draw the upright picture: the preview at once, then tiles as they come, the nearest to the middle of `visible()` first
     ([left, top, right, bottom] in its pixels). `shown()` is called when the preview is there, `progress(done, of)` after each tile.
     Returns { failed, scale }: the
     errors of the tiles that could not be shown, and how many pixels became one. */
  async paint(canvas, { signal, visible, progress, shown, urgency = 0, mostPixels = MOST_SHOWN } = {}) {
    this.checkSize(MOST_PIXELS);
    let scale = 1;
    while (scale < 8 && this.storedWidth * this.storedHeight > mostPixels * scale * scale) scale *= 2;
    [canvas.width, canvas.height] = this.size.map(side => Math.ceil(side / scale));
    const { space } = this.colours;
    const context = canvas.getContext("2d", { alpha: this.hasAlpha, colorSpace: space });
    if (!context) throw new PicoError("EngineError", "this browser has no room for a picture of this size");
    if (!this.hasAlpha) { // as in Python, what is missing is grey
      context.fillStyle = MISSING;
      context.fillRect(0, 0, canvas.width, canvas.height);
    }
    const preview = this.hasAlpha ? null : await this.preview().catch(() => null);
    if (preview) await drawUpright(context, preview, this.orientation).catch(() => {});
    if (preview) shown?.();
    const [wide, high] = [this.storedWidth, this.storedHeight].map(side => Math.ceil(side / scale));
    const painter = new Painter(canvas.width * canvas.height, part => {
      const { box: [left, top, right, bottom], pixels, row, x, y } = turned(part, wide, high, this.orientation);
      const image = new ImageData(pixels, row, pixels.length / 4 / row, { colorSpace: space });
      context.putImageData(image, left - x, top - y, x, y, right - left, bottom - top);
    }, pixels => this.pool.recycle(pixels));
    signal?.addEventListener("abort", () => painter.stop(), { once: true });
    const failed = await this.eachTile((parts, pixels) => painter.add(parts, pixels),
      { signal, visible, progress, urgency, scale });
    painter.flush();
    await this.complete().catch(error => failed.push(error));
    return { failed, scale };
  }

  /* No more bytes are wanted: what is still arriving is stopped. */
  close() { this.container.source.stop(); }

  checkSize(most) {
    const pixels = this.storedWidth * this.storedHeight;
    if (pixels > most) {
      throw new PicoError("ImageTooLargeError",
        `${this.storedWidth} x ${this.storedHeight} pixels are more than this page shows (${most})`);
    }
  }

  /* Where the size of the file was not known when it was opened, it is checked once all has come. */
  async complete() {
    await this.container.source.ended();
    this.container.checkEnd(this.allowTruncated);
  }

  /* Decode all tiles; take(parts, pixels) gets the parts of the picture that a tile completes, and its pixels. Errors of tiles
     are returned, or all is stopped at the first. */
  async eachTile(take, { signal, visible, progress, urgency = 0, scale = 1, strict = false }) {
    const mosaic = new Mosaic(this.storedWidth, this.storedHeight, scale);
    const { tiles } = this.container;
    const stop = new AbortController();
    signal?.addEventListener("abort", () => stop.abort(signal.reason), { once: true });
    signal?.throwIfAborted();
    const failed = [];
    let done = 0;
    await Promise.all(tiles.map(async (_, index) => {
      const [left, top, right, bottom] = windowOf(index, this.storedWidth, this.storedHeight);
      let pixels;
      try {
        pixels = await this.pool.decode(this.tile(index), {
          payloads: tile => this.payloads(tile, index), signal: stop.signal,
          rank: () => urgency * FAR + this.distance([left, top, right, bottom], visible?.()) + index * 1e-6,
        });
      } catch (error) {
        if (signal?.aborted) throw error;
        failed.push(error);
        if (strict) stop.abort(error);
        if (!strict) pixels = null;
      }
      if (pixels) {
        take(mosaic.add(index, shrunk(pixels, right - left, bottom - top, scale)), pixels);
      }
      progress?.(done += 1, tiles.length);
    }));
    return failed;
  }

  tile(index) {
    const [left, top, right, bottom] = windowOf(index, this.storedWidth, this.storedHeight);
    const isLearned = this.container.tiles[index].coder === LEARNED;
    return { width: right - left, height: bottom - top, channels: this.channels, level: this.level,
      modelId: isLearned ? this.modelId : null };
  }

  async payloads(tile, index) {
    const plane = async (entries, what) => {
      const entry = entries[index];
      if (!entry) return null;
      const payload = (await this.container.tileBytes(entry, index)).slice(); // or all of the file would be sent
      return { coder: entry.coder, rise: entry.rise, checksum: entry.checksum.slice(), payload, what: `${what} ${index}` };
    };
    tile.colour = await plane(this.container.tiles, "tile");
    tile.alpha = await plane(this.container.alphaTiles, "alpha tile");
  }

  /* How far a window lies from the middle of what is seen, 0 to 1e6. */
  distance(box, seen) {
    if (!seen) return 0;
    const [x, y] = inUpright((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, this.storedWidth, this.storedHeight,
      this.orientation);
    return Math.min(1e6, Math.hypot(x - (seen[0] + seen[2]) / 2, y - (seen[1] + seen[3]) / 2));
  }
}

const PER_MEGAPIXEL_MS = 20;

/* Draws parts of a picture, several at once: browsers copy all of a canvas for every frame in which it changes. */
class Painter {
  constructor(pixels, draw, done) {
    Object.assign(this, { every: (PER_MEGAPIXEL_MS * pixels) / 1e6, draw, done, waiting: [], last: 0, timer: null });
  }

  add(parts, pixels) {
    this.waiting.push({ parts, pixels });
    const left = this.every - (performance.now() - this.last);
    if (left <= 0) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), left);
  }

  /* Nothing more is to be drawn: the canvas may show another picture by now. */
  stop() {
    clearTimeout(this.timer);
    this.waiting = [];
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    for (const { parts, pixels } of this.waiting) {
      parts.forEach(this.draw);
      this.done(pixels);
    }
    this.waiting = [];
    this.last = performance.now();
  }
}

/* Draw a JPEG over the whole of an upright canvas. Its own Exif, if it has any, is ignored. */
export async function drawUpright(context, blob, orientation) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "none" }).catch(() => createImageBitmap(blob));
  const { width, height } = context.canvas;
  context.save();
  context.imageSmoothingQuality = "high";
  context.transform(...matrix(orientation, width, height));
  context.drawImage(bitmap, 0, 0, ...upright(width, height, orientation));
  context.restore();
  bitmap.close();
}

function inUpright(x, y, width, height, orientation) {
  if ([2, 3, 7, 8].includes(orientation)) x = width - x;
  if ([3, 4, 6, 7].includes(orientation)) y = height - y;
  return orientation >= 5 ? [y, x] : [x, y];
}

/* From stored to upright coordinates on a canvas of the upright size. */
function matrix(orientation, width, height) {
  return [[1, 0, 0, 1, 0, 0], [-1, 0, 0, 1, width, 0], [-1, 0, 0, -1, width, height], [1, 0, 0, -1, 0, height],
    [0, 1, 1, 0, 0, 0], [0, 1, -1, 0, width, 0], [0, -1, -1, 0, width, height], [0, -1, 1, 0, 0, height]][orientation - 1];
}

/* Width and height that a JPEG file states; [] where it states none. */
function jpegSize(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return [];
  for (let place = 2; place + 9 < bytes.length && bytes[place] === 0xff;) {
    const marker = bytes[place + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [(bytes[place + 7] << 8) | bytes[place + 8], (bytes[place + 5] << 8) | bytes[place + 6]];
    place += 2 + ((bytes[place + 2] << 8) | bytes[place + 3]);
  }
  return [];
}
