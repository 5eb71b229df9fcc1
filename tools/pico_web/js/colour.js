/* What the colours of an ICC profile are to a canvas, which knows sRGB and Display P3 and nothing else. */

const KNOWN = [ // the colorants of a profile, adapted to D50: red, green, blue, each X, Y, Z
  ["srgb", [0.4361, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141]],
  ["display-p3", [0.5151, 0.2412, -0.0011, 0.292, 0.6922, 0.0419, 0.1571, 0.0666, 0.7841]]];
const TOLERANCE = 0.003;
const SRGB_HALF = 0.214; // what the curve of sRGB makes of one half
const NAME_CHARACTERS = 60;

/* { space, note }: the colour space for the canvas, and what to tell people where it is not that of the profile. */
export function colourSpace(icc) {
  if (!icc) return { space: "srgb", note: "" };
  let name = "unnamed";
  try {
    const profile = new Profile(icc);
    name = profile.name() || name;
    const found = profile.isGrey ? isNear(profile.curveAtHalf("kTRC"), SRGB_HALF, 0.03) && "srgb" : profile.known();
    if (found === "srgb") return { space: "srgb", note: "" };
    if (found && supports(found)) return { space: found, note: "" };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the end of the profile
  }
  return { space: "srgb", note: `The colours follow the profile \u201c${name}\u201d, which a web page cannot show; they are `
    + "shown as sRGB and may look too dull or too strong. Saved files keep the profile." };
}

function supports(space) {
  try {
    return new OffscreenCanvas(1, 1).getContext("2d", { colorSpace: space }).getContextAttributes().colorSpace === space;
  } catch {
    return false;
  }
}

const isNear = (a, b, tolerance) => Math.abs(a - b) <= tolerance;

class Profile {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.tags = new Map();
    const number = Math.min(this.view.getUint32(128), 100);
    for (let i = 0; i < number; i += 1) this.tags.set(this.text(132 + 12 * i, 4), this.view.getUint32(136 + 12 * i));
  }

  text(at, length) {
    if (at + length > this.bytes.length) throw new RangeError("the end of the profile");
    return String.fromCharCode(...this.bytes.subarray(at, at + length));
  }

  get isGrey() { return this.text(16, 4) === "GRAY"; }

  /* The description, for people. */
  name() {
    const at = this.tags.get("desc");
    if (at === undefined) return "";
    let text;
    if (this.text(at, 4) === "mluc") {
      const [length, place] = [this.view.getUint32(at + 20), this.view.getUint32(at + 24)];
      const raw = this.text(at + place, Math.min(length, 2 * NAME_CHARACTERS));
      text = raw.replace(/([^])([^])/g, (_, high, low) => String.fromCharCode((high.charCodeAt(0) << 8) | low.charCodeAt(0)));
    } else {
      text = this.text(at + 12, Math.min(this.view.getUint32(at + 8), NAME_CHARACTERS));
    }
    return text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  }

  /* The name of the space in KNOWN; undefined for others. Both have the curve of sRGB. */
  known() {
    if (!["rXYZ", "gXYZ", "bXYZ", "rTRC"].every(tag => this.tags.has(tag)) || this.tags.has("A2B0")) return undefined;
    const colorants = ["rXYZ", "gXYZ", "bXYZ"].flatMap(tag => [8, 12, 16].map(place =>
      this.view.getInt32(this.tags.get(tag) + place) / 65536));
    if (!isNear(this.curveAtHalf("rTRC"), SRGB_HALF, 0.01)) return undefined;
    return KNOWN.find(([, wanted]) => wanted.every((value, i) => isNear(value, colorants[i], TOLERANCE)))?.[0];
  }

  /* What a tone curve makes of one half. */
  curveAtHalf(tag) {
    const at = this.tags.get(tag);
    if (at === undefined) return NaN;
    if (this.text(at, 4) === "para") return this.parametric(at);
    const count = this.view.getUint32(at + 8);
    if (count === 0) return 0.5;
    if (count === 1) return 0.5 ** (this.view.getUint16(at + 12) / 256);
    const place = 0.5 * (count - 1);
    const value = index => this.view.getUint16(at + 12 + 2 * index) / 65535;
    return (value(Math.floor(place)) + value(Math.ceil(place))) / 2;
  }

  parametric(at) {
    const [g, a = 1, b = 0, , , e = 0] = [0, 1, 2, 3, 4, 5].slice(0, [1, 3, 4, 5, 7][this.view.getUint16(at + 8)] ?? 1)
      .map(place => this.view.getInt32(at + 12 + 4 * place) / 65536);
    return (a * 0.5 + b) ** g + e;
  }
}
