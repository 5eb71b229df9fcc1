/* Reads what people want to know from EXIF: which way is up, when, with what and where a photo was taken. Damaged EXIF
   gives fewer facts, never an error. */

const IMAGE = { 0x010e: "title", 0x010f: "maker", 0x0110: "model", 0x0112: "orientation", 0x0132: "written",
  0x8769: "shotAt", 0x8825: "placeAt" };
const SHOT = { 0x829a: "seconds", 0x829d: "aperture", 0x8827: "sensitivity", 0x9003: "taken", 0x920a: "focal",
  0xa434: "lens" };
const PLACE = { 1: "northSouth", 2: "latitude", 3: "eastWest", 4: "longitude" };
const BYTES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8 };
const LONGEST_TEXT = 200;
const MOST_ENTRIES = 1000;

/* Where the TIFF header begins: after "Exif\0\0", if that is there. */
const tiffIn = exif => (String.fromCharCode(...exif.subarray(0, 6)) === "Exif\0\0" ? exif.subarray(6) : exif);

class Tiff {
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const order = bytes.length >= 8 ? this.view.getUint16(0) : 0;
    this.isLittle = order === 0x4949;
    this.isSound = (this.isLittle || order === 0x4d4d) && this.short(2) === 42;
  }

  short(at) { return this.view.getUint16(at, this.isLittle); }

  long(at) { return this.view.getUint32(at, this.isLittle); }

  /* The entries of a directory that have names. */
  directory(at, names) {
    const found = {};
    try {
      const number = Math.min(this.short(at), MOST_ENTRIES);
      for (let i = 0; i < number; i += 1) {
        const entry = at + 2 + 12 * i;
        const name = names[this.short(entry)];
        if (name) found[name] ??= this.value(entry);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // the end of the bytes
    }
    return found;
  }

  /* A text, or a list of numbers. */
  value(entry) {
    const [type, count] = [this.short(entry + 2), this.long(entry + 4)];
    const size = (BYTES[type] ?? 1) * count;
    const at = size <= 4 ? entry + 8 : this.long(entry + 8);
    if (type === 2) {
      const length = Math.min(count, LONGEST_TEXT, this.view.byteLength - at);
      return readable(new Uint8Array(this.view.buffer, this.view.byteOffset + at, Math.max(0, length)));
    }
    return Array.from({ length: Math.min(count, 4) }, (_, i) => {
      if (type === 3) return this.short(at + 2 * i);
      if (type === 5) return this.long(at + 8 * i) / this.long(at + 8 * i + 4);
      if (type === 10) return this.view.getInt32(at + 8 * i, this.isLittle) / this.view.getInt32(at + 8 * i + 4, this.isLittle);
      return type === 4 ? this.long(at + 4 * i) : this.view.getUint8(at + i);
    });
  }
}

function readable(bytes) {
  const end = bytes.indexOf(0);
  const text = new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu, " ").replace(/\s+/g, " ").trim();
}

function tags(exif) {
  if (!exif) return {};
  const tiff = new Tiff(tiffIn(exif));
  if (!tiff.isSound) return {};
  const image = tiff.directory(tiff.long(4), IMAGE);
  const below = (place, names) => (place ? tiff.directory(place[0], names) : {});
  return { ...image, ...below(image.shotAt, SHOT), ...below(image.placeAt, PLACE) };
}

/* EXIF's orientation, 1 to 8; 1 where there is none that makes sense. */
export function orientationOf(exif) {
  const [value] = tags(exif).orientation ?? [1];
  return value >= 1 && value <= 8 ? value : 1;
}

const DATE = /^(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)/;

/* When a photo was taken, by the clock of the camera: 2021-06-05T04:03:02; null where EXIF does not tell. */
export function takenAt(exif) {
  const { taken, written } = tags(exif);
  for (const text of [taken, written]) {
    const match = typeof text === "string" && DATE.exec(text);
    if (!match) continue;
    const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
    const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
    if (year > 1800 && date.getUTCMonth() === month - 1 && date.getUTCHours() === hour) {
      return date.toISOString().slice(0, 19);
    }
  }
  return null;
}

const isNumber = value => Number.isFinite(value) && Math.abs(value) < 1e9;
const shown = value => String(Math.round(value * 10) / 10);

/* Camera, lens, exposure and place: pairs of a name and a text. */
export function facts(exif) {
  const { maker = "", model = "", lens, title, seconds, aperture, focal, sensitivity, ...place } = tags(exif);
  const parts = [];
  if (isNumber(seconds?.[0]) && seconds[0] > 0) {
    parts.push(seconds[0] < 0.4 ? `1/${Math.round(1 / seconds[0])} s` : `${shown(seconds[0])} s`);
  }
  if (isNumber(aperture?.[0]) && aperture[0] > 0) parts.push(`f/${shown(aperture[0])}`);
  if (isNumber(focal?.[0]) && focal[0] > 0) parts.push(`${shown(focal[0])} mm`);
  if (isNumber(sensitivity?.[0])) parts.push(`ISO ${sensitivity[0]}`);
  const isText = value => typeof value === "string";
  const camera = isText(maker) && isText(model)
    ? model.toLowerCase().startsWith(maker.toLowerCase()) ? model : `${maker} ${model}`.trim() : "";
  return [["Camera", camera], ["Lens", isText(lens) ? lens : ""], ["Exposure", parts.join(", ")],
    ["Title", isText(title) ? title : ""], ["Place", coordinates(place)]].filter(([, value]) => value);
}

function coordinates({ latitude, longitude, northSouth, eastWest }) {
  const degrees = (parts, side, letters, most) => {
    const value = parts?.length >= 3 ? parts[0] + parts[1] / 60 + parts[2] / 3600 : NaN;
    return isNumber(value) && value <= most && letters.includes(side) && side ? `${value.toFixed(5)}\u00b0 ${side}` : "";
  };
  const both = [degrees(latitude, northSouth, "NS", 90), degrees(longitude, eastWest, "EW", 180)];
  return both.every(Boolean) ? both.join(", ") : "";
}
