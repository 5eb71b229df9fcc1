/* Writes a picture as PNG or JPEG. Pixels are stored as the .pico file stores them, with the EXIF, XMP and ICC profile of
   the file byte for byte, so that the orientation is applied once, by whoever shows the file. */

import { PicoError } from "./errors.js";

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});
const MOST_IN_SEGMENT = 65533; // of a JPEG file
const EXIF_HEAD = "Exif\0\0";
const XMP_HEAD = "http://ns.adobe.com/xap/1.0/\0";
const ICC_HEAD = "ICC_PROFILE\0";
const JPEG_QUALITY = 0.95;

const letters = text => Uint8Array.from(text, letter => letter.charCodeAt(0));
const startsWith = (bytes, text) => letters(text).every((byte, i) => bytes[i] === byte);

function joined(...parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    result.set(part, place);
    place += part.length;
  }
  return result;
}

const metadataOf = async picture => ({ exif: await picture.exif(), xmp: await picture.xmp(), icc: picture.icc });

// PNG

/* The picture as a PNG file, exactly: a Blob. */
export async function toPng(picture, options) {
  const { width, height, data } = await picture.decode(options);
  const { exif, xmp, icc } = await metadataOf(picture);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  const colour = picture.channels === 3;
  header[9] = (colour ? 2 : 0) + (picture.hasAlpha ? 4 : 0);
  const rows = filtered(data, width, height, colour, picture.hasAlpha);
  const tiff = exif && (startsWith(exif, EXIF_HEAD) ? exif.subarray(6) : exif);
  return new Blob([letters("\x89PNG\r\n\x1a\n"), chunk("IHDR", header),
    ...(icc ? [chunk("iCCP", joined(letters("profile\0\0"), await deflated(icc)))] : [chunk("sRGB", new Uint8Array(1))]),
    ...(tiff ? [chunk("eXIf", tiff)] : []),
    ...(xmp ? [chunk("iTXt", joined(letters("XML:com.adobe.xmp\0\0\0\0\0"), xmp))] : []),
    chunk("IDAT", await deflated(rows)), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

/* Rows of samples, each after its filter type: what lies above is taken away, which suits photographs well enough. */
function filtered(data, width, height, colour, hasAlpha) {
  const places = [...(colour ? [0, 1, 2] : [0]), ...(hasAlpha ? [3] : [])];
  const samples = places.length;
  const rows = new Uint8Array(height * (width * samples + 1));
  let to = 0;
  for (let y = 0; y < height; y += 1) {
    rows[to++] = y ? 2 : 0;
    for (let x = 0; x < width; x += 1) {
      const from = 4 * (y * width + x);
      for (let k = 0; k < samples; k += 1) {
        rows[to++] = data[from + places[k]] - (y ? data[from + places[k] - 4 * width] : 0);
      }
    }
  }
  return rows;
}

async function deflated(bytes) {
  if (typeof CompressionStream === "undefined") {
    throw new PicoError("EngineError", "this browser cannot write PNG files; a newer one can. JPEG works");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(kind, body) {
  const result = joined(new Uint8Array(4), letters(kind), body, new Uint8Array(4));
  const view = new DataView(result.buffer);
  view.setUint32(0, body.length);
  let crc = 0xffffffff;
  for (let i = 4; i < result.length - 4; i += 1) crc = CRC[(crc ^ result[i]) & 255] ^ (crc >>> 8);
  view.setUint32(result.length - 4, ~crc >>> 0);
  return result;
}

// JPEG

/* The picture as a JPEG file: a Blob. Transparent parts become white. */
export async function toJpeg(picture, options) {
  const { width, height, data } = await picture.decode(options);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false });
  if (picture.hasAlpha) onWhite(data);
  context.putImageData(new ImageData(data, width, height), 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return new Blob([bytes.subarray(0, 2), ...segments(await metadataOf(picture)), withoutApplicationData(bytes)],
    { type: "image/jpeg" });
}

function onWhite(data) {
  for (let i = 0; i < data.length; i += 4) {
    for (let k = 0; k < 3; k += 1) data[i + k] = 255 + ((data[i + k] - 255) * data[i + 3]) / 255;
    data[i + 3] = 255;
  }
}

function segments({ exif, xmp, icc }) {
  const found = [];
  const add = (marker, ...parts) => {
    const body = joined(...parts);
    if (body.length > MOST_IN_SEGMENT) {
      throw new PicoError("OptionError", "its metadata do not fit into a JPEG file, which takes 64 kB of each kind; save it as PNG");
    }
    found.push(Uint8Array.of(0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255), body);
  };
  if (exif) add(0xe1, ...(startsWith(exif, EXIF_HEAD) ? [exif] : [letters(EXIF_HEAD), exif]));
  if (xmp) add(0xe1, letters(XMP_HEAD), xmp);
  const most = MOST_IN_SEGMENT - ICC_HEAD.length - 2;
  const count = Math.ceil((icc?.length ?? 0) / most);
  for (let i = 0; i < count; i += 1) {
    add(0xe2, letters(ICC_HEAD), Uint8Array.of(i + 1, count), icc.subarray(i * most, (i + 1) * most));
  }
  return found;
}

/* What follows the first marker of a JPEG file, without the segments that a browser puts there itself. */
function withoutApplicationData(bytes) {
  let place = 2;
  while (bytes[place] === 0xff && bytes[place + 1] >= 0xe0 && bytes[place + 1] <= 0xef) {
    place += 2 + ((bytes[place + 2] << 8) | bytes[place + 3]);
  }
  return bytes.subarray(place);
}
