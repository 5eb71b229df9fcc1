/* Where the tiles of a picture lie, and putting them together, cross-faded where their windows overlap.

   A rectangle is [left, top, right, bottom]. Pixels are RGBA, four bytes each, row by row. A part of a picture is
   { box, pixels, row, x, y }: its rectangle, and its pixels, which begin at column x and line y of an array with rows of `row`
   pixels. So nothing need be copied. */

export const WINDOW = 512;
export const OVERLAP = 8;
const STRIDE = WINDOW - OVERLAP;

export const windowsAlong = side => (side <= WINDOW ? 1 : Math.ceil((side - OVERLAP) / STRIDE));
export const tileCount = (width, height) => windowsAlong(width) * windowsAlong(height);

/* The window of tile `index`. */
export function windowOf(index, width, height) {
  const columns = windowsAlong(width);
  const [left, top] = [STRIDE * (index % columns), STRIDE * Math.floor(index / columns)];
  return [left, top, Math.min(left + WINDOW, width), Math.min(top + WINDOW, height)];
}

/* The parts of a window's side: those shared with a neighbour, and the one between. */
function parts(start, end, size, shared) {
  const inner = start > 0 ? start + shared : start;
  const after = end < size ? end - shared : end;
  return [[start, inner, 2], [inner, after, 1], [after, end, 2]].filter(([from, to]) => from < to);
}

/* Weights along a side, in 16ths. */
function ramp(start, end, size, shared) {
  const weights = new Uint16Array(end - start).fill(16);
  for (let i = 0; i < shared; i += 1) {
    const weight = (2 * i + 1) * (OVERLAP / shared);
    if (start > 0) weights[i] = weight;
    if (end < size) weights[weights.length - 1 - i] = weight;
  }
  return weights;
}

/* Takes tiles, each once, in any order, and hands out the rectangles of the picture that are complete. With a `scale`
   of 2, 4 or 8 it makes the picture at 1/scale, of tiles that are that much smaller. */
export class Mosaic {
  constructor(width, height, scale = 1) {
    Object.assign(this, { full: [width, height], scale, shared: OVERLAP / scale, waiting: new Map() });
    [this.width, this.height] = this.full.map(side => Math.ceil(side / scale));
  }

  /* The parts of the picture that tile `index` completes. `pixels` are those of its whole window. */
  add(index, pixels) {
    const [left, top, right, bottom] = windowOf(index, ...this.full).map(place => Math.ceil(place / this.scale));
    const { width, height, shared } = this;
    const [across, down] = [ramp(left, right, width, shared), ramp(top, bottom, height, shared)];
    const done = [];
    for (const [y, low, tilesDown] of parts(top, bottom, height, shared)) {
      for (const [x, far, tilesAcross] of parts(left, right, width, shared)) {
        const inside = { x: x - left, y: y - top, row: right - left };
        const box = [x, y, far, low];
        const tiles = tilesDown * tilesAcross;
        if (tiles === 1) {
          done.push({ box, pixels, ...inside });
          continue;
        }
        const sums = weighted(pixels, { ...inside, width: far - x, height: low - y }, across, down);
        const faded = this.blend(`${x},${y}`, tiles, sums);
        if (faded) done.push({ box, pixels: faded, row: far - x, x: 0, y: 0 });
      }
    }
    return done;
  }

  /* Add one tile's share to the sums of a strip that several tiles cover; its pixels once all shares are there. */
  blend(strip, tiles, sums) {
    const known = this.waiting.get(strip);
    if (known) for (let i = 0; i < sums.length; i += 1) sums[i] += known.sums[i];
    const seen = (known?.seen ?? 0) + 1;
    if (seen < tiles) {
      this.waiting.set(strip, { seen, sums });
      return null;
    }
    this.waiting.delete(strip);
    const pixels = new Uint8ClampedArray(sums.length);
    for (let i = 0; i < sums.length; i += 1) pixels[i] = (sums[i] + 128) >> 8;
    return pixels;
  }
}

function weighted(pixels, { x, y, width, height, row }, across, down) {
  const sums = new Uint16Array(4 * width * height); // 255 * 256 still fits
  let to = 0;
  for (let i = y; i < y + height; i += 1) {
    let from = 4 * (i * row + x);
    for (let j = x; j < x + width; j += 1) {
      const weight = down[i] * across[j];
      for (let k = 0; k < 4; k += 1) sums[to++] = weight * pixels[from++];
    }
  }
  return sums;
}

/* Pixels at 1/scale: means of squares of scale x scale; at the right and below, of what there is of them. */
export function shrunk(pixels, width, height, scale) {
  if (scale === 1) return pixels;
  const [wide, high] = [Math.ceil(width / scale), Math.ceil(height / scale)];
  const result = new Uint8ClampedArray(4 * wide * high);
  for (let y = 0; y < high; y += 1) {
    const rows = Math.min(scale, height - y * scale);
    for (let x = 0; x < wide; x += 1) {
      const columns = Math.min(scale, width - x * scale);
      for (let k = 0; k < 4; k += 1) {
        let sum = 0;
        for (let i = 0; i < rows; i += 1) {
          for (let j = 0; j < columns; j += 1) sum += pixels[4 * ((y * scale + i) * width + x * scale + j) + k];
        }
        result[4 * (y * wide + x) + k] = sum / (rows * columns);
      }
    }
  }
  return result;
}

/* Width and height of a picture once it is turned upright. */
export const upright = (width, height, orientation) => (orientation >= 5 ? [height, width] : [width, height]);

/* A part of a picture of width x height pixels, turned upright as EXIF's orientation 1 to 8 says. Its pixels are good until
   the next call, which uses their memory again. */
export function turned({ box, pixels, row, x: fromX, y: fromY }, width, height, orientation) {
  if (orientation === 1) return { box, pixels, row, x: fromX, y: fromY };
  const [left, top, right, bottom] = box;
  const [wide, high] = [right - left, bottom - top];
  const swapped = orientation >= 5;
  const flipX = [2, 3, 7, 8].includes(orientation); // of the stored columns
  const flipY = [3, 4, 6, 7].includes(orientation); // of the stored rows
  const [x0, x1] = flipX ? [width - right, width - left] : [left, right];
  const [y0, y1] = flipY ? [height - bottom, height - top] : [top, bottom];
  const source = new Uint32Array(pixels.buffer, pixels.byteOffset, pixels.length / 4);
  const target = scratch.subarray(0, wide * high);
  for (let y = 0; y < high; y += 1) {
    const start = (fromY + (flipY ? high - 1 - y : y)) * row + fromX;
    for (let x = 0; x < wide; x += 1) {
      const value = source[start + (flipX ? wide - 1 - x : x)];
      target[swapped ? x * high + y : y * wide + x] = value;
    }
  }
  return { box: swapped ? [y0, x0, y1, x1] : [x0, y0, x1, y1], row: swapped ? high : wide, x: 0, y: 0,
    pixels: new Uint8ClampedArray(scratch.buffer, 0, 4 * wide * high) };
}

const scratch = new Uint32Array(WINDOW * WINDOW);
