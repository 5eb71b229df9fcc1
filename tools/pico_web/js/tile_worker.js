/* Decodes tiles inside a worker: learned ones with the engine, the others with what the browser has.

   Messages to the worker: { module, weights } once for each set of weights, then { job, tile }; and { recycled }, memory that it
   may use again. Answers: { job, pixels }
   or { job, error: { kind, message } }. */

import { Cursor, children, only } from "./boxes.js";
import { AVIF, LEARNED, WEBP_LOSSLESS, mismatch } from "./container.js";
import { matches } from "./checksum.js";
import { Engine, recycle } from "./engine.js";
import { PicoError, corrupt, unsupported } from "./errors.js";

/* A tile: { width, height, channels, level, modelId, colour, alpha }, the last two { coder, rise, checksum, payload,
   what }. Returns RGBA. */
export class TileDecoder {
  constructor() {
    this.engines = new Map(); // model id -> promise of an engine
  }

  addWeights({ module, modelId, weights }) {
    const engine = Engine.start(module, weights);
    engine.catch(() => {}); // whoever decodes hears of it
    this.engines.set(modelId, engine);
  }

  async decode(tile) {
    const pixels = await this.plane(tile, tile.colour, tile.channels);
    if (!tile.alpha) return pixels;
    const alpha = await this.plane(tile, tile.alpha, 1);
    for (let i = 0; i < pixels.length; i += 4) pixels[i + 3] = alpha[i];
    return pixels;
  }

  async plane(tile, { coder, rise, checksum, payload, what }, channels) {
    if (!matches(payload, checksum)) throw mismatch(what);
    const { width, height } = tile;
    if (coder === LEARNED) {
      const engine = await this.engines.get(tile.modelId);
      if (!engine) throw new PicoError("UnknownModelError", `the weights ${tile.modelId} are not here`);
      return engine.decode(payload, width, height, channels, tile.level + 256 * rise);
    }
    if (coder === WEBP_LOSSLESS) return grey(await fromBrowser(checkedWebp(payload, width, height), "image/webp", tile), channels);
    if (coder === AVIF) return grey(await fromBrowser(checkedAvif(payload, width, height), "image/avif", tile), channels);
    throw unsupported(`${what}: its coder ${coder} is unknown here; a later page may read it`);
  }
}

/* Three equal channels for one, and no transparency. */
function grey(pixels, channels) {
  if (channels === 3) return pixels;
  for (let i = 0; i < pixels.length; i += 4) pixels[i + 2] = pixels[i + 1] = pixels[i];
  return pixels;
}

/* A WebP lossless file whose header says that size, and which claims no transparency: what is transparent would come out
   of a canvas changed, and a reader takes the colours only. */
export function checkedWebp(payload, width, height) {
  const text = (from, to) => String.fromCharCode(...payload.subarray(from, to));
  const isWebp = payload.length >= 25 && text(0, 4) === "RIFF" && text(8, 16) === "WEBPVP8L" && payload[20] === 0x2f;
  const packed = isWebp ? new DataView(payload.buffer, payload.byteOffset).getUint32(21, true) : 0;
  if (!isWebp || (packed & 0x3fff) + 1 !== width || ((packed >>> 14) & 0x3fff) + 1 !== height) {
    throw corrupt(`a lossless tile is not WebP lossless of ${width}x${height} pixels; the file is damaged`);
  }
  const copy = payload.slice();
  copy[24] &= ~0x10;
  return copy;
}

/* An AVIF file of one picture whose boxes say that size, checked before a decoder would take memory for another one. */
export function checkedAvif(payload, width, height) {
  try {
    const top = children(payload, 0, payload.length);
    if (top.some(box => box.kind === "moov")) throw corrupt("it moves");
    const meta = only(top, "meta", "file");
    const properties = only(children(payload, meta.body + 4, meta.end), "iprp", "meta");
    const shared = only(children(payload, properties.body, properties.end), "ipco", "iprp");
    const sizes = children(payload, shared.body, shared.end).filter(box => box.kind === "ispe");
    for (const box of sizes) {
      const cursor = new Cursor(payload, box);
      cursor.version(0);
      if (cursor.unsigned(4) !== width || cursor.unsigned(4) !== height) throw corrupt("another size");
    }
    if (!sizes.length) throw corrupt("no size");
    return payload;
  } catch {
    throw corrupt(`an AVIF tile is not one picture of ${width}x${height} pixels; the file is damaged`);
  }
}

const OPTIONS = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "none" };

async function fromBrowser(payload, type, { width, height }) {
  const lacks = canvasFault();
  if (lacks) throw new PicoError("MissingCoderError", lacks);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([payload], { type }), OPTIONS);
  } catch (error) {
    if (!await canDecode(type)) throw new PicoError("MissingCoderError", `this browser does not open ${type}; a newer one does`);
    throw corrupt(`a tile of ${type} cannot be decoded (${error.message}); the file is damaged`);
  }
  try {
    if (bitmap.width !== width || bitmap.height !== height) {
      throw corrupt(`a tile is ${bitmap.width}x${bitmap.height} pixels, not ${width}x${height}; the file is damaged`);
    }
    const context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height).data;
  } finally {
    bitmap.close();
  }
}

const SMALLEST = { // one pixel in each of the formats
  "image/webp": "UklGRhoAAABXRUJQVlA4TA4AAAAvAAAAAAcQEf0PRET/Aw==",
  "image/avif": "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA"
    + "AAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAAQ0AAAAbAAAAKGlpbmYAAAAAAAEAAAAaaW5mZQIAAAAA"
    + "AQAAYXYwMUNvbG9yAAAAAGhpcHJwAAAASWlwY28AAAAUaXNwZQAAAAAAAAABAAAAAQAAAA5waXhpAAAAAAEIAAAADGF2MUOB"
    + "ABwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAI21kYXQSAAoHGAAGmAhoNTIOGUYhh55o"
    + "AJBAyp+NrPg=",
};

async function canDecode(type) {
  try {
    const bytes = Uint8Array.from(atob(SMALLEST[type]), letter => letter.charCodeAt(0));
    (await createImageBitmap(new Blob([bytes], { type }))).close();
    return true;
  } catch {
    return false;
  }
}

let fault;

/* What is wrong with the canvas of this browser; some give out changed pixels, so that nobody can be recognised by
   them. */
function canvasFault() {
  if (fault !== undefined) return fault;
  fault = "";
  if (typeof OffscreenCanvas === "undefined") {
    fault = "this browser has no OffscreenCanvas, which lossless tiles need; a newer one has";
    return fault;
  }
  const side = 16;
  const context = new OffscreenCanvas(side, side).getContext("2d", { alpha: false, willReadFrequently: true });
  const sent = new ImageData(side, side);
  for (let i = 0; i < sent.data.length; i += 1) sent.data[i] = i % 4 === 3 ? 255 : (i * 37) & 255;
  context.putImageData(sent, 0, 0);
  const back = context.getImageData(0, 0, side, side).data;
  if (back.some((value, i) => value !== sent.data[i])) {
    fault = "this browser changes pixels that a page reads back (a protection against fingerprinting); "
      + "allow this page to read them, or use another browser";
  }
  return fault;
}

/* What a worker does. */
export function work(scope) {
  const decoder = new TileDecoder();
  scope.onmessage = async ({ data }) => {
    if (data.weights) {
      decoder.addWeights(data);
      return;
    }
    if (data.recycled) {
      recycle(data.recycled);
      return;
    }
    try {
      const pixels = await decoder.decode(data.tile);
      scope.postMessage({ job: data.job, pixels }, [pixels.buffer]);
    } catch (error) {
      scope.postMessage({ job: data.job, error: { kind: error.kind ?? "EngineError", message: error.message } });
    }
  };
  scope.postMessage({ ready: true });
}
