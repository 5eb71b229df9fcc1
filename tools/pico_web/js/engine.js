/* The native engine as WebAssembly: makes a model of a weights file, and decodes learned tiles. See
   pico_core/native/pico.h. */

import { PicoError, corrupt } from "./errors.js";
import { WINDOW } from "./tiling.js";

const INTERFACE = 2;
const TYPES = { I8: [1, 1], I16: [2, 2], U16: [3, 2], I32: [4, 4], F32: [5, 4] }; // PicoType, and bytes of a number
// A PicoArray: name, type, number of dimensions, shape (at a multiple of 8), data.
const SHAPE_AT = 16;
const DATA_AT = SHAPE_AT + 4 * 8;
const RECORD_BYTES = DATA_AT + 8;
const ROOM_FOR_REASON = 256;
const DAMAGED = -1;
const FORMAT = "pico-weights-2";

const wrong = message => new PicoError("WeightsError", message);

/* The arrays of a weights file, which is in the safetensors format: [{ name, type, shape, begin, end }]. */
export function readWeights(file) {
  try {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const start = 8 + Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
    const { format } = JSON.parse(header.__metadata__.pico);
    if (format !== FORMAT) throw new Error(`they are of format ${format}, and this page reads ${FORMAT}`);
    delete header.__metadata__;
    return Object.entries(header).map(([name, { dtype, shape, data_offsets: [begin, end] }]) => {
      const numbers = shape.reduce((product, side) => product * side, 1);
      const [type, bytes] = TYPES[dtype];
      if (numbers * bytes !== end - begin || start + end > file.length) throw new Error(`${name} has a wrong size`);
      return { name, type, shape, begin: start + begin, end: start + end };
    });
  } catch (error) {
    throw wrong(`these are not weights that this page can read: ${error.message}`);
  }
}

export class Engine {
  /* `module` is a WebAssembly.Module, `file` the bytes of a weights file. */
  static async start(module, file) {
    const { exports } = await WebAssembly.instantiate(module, {});
    exports._initialize();
    return new Engine(exports, file);
  }

  constructor(exports, file) {
    this.wasm = exports;
    if (exports.pico_interface() !== INTERFACE) throw wrong("the decoder and its WebAssembly are of different versions");
    const arrays = readWeights(file);
    this.levels = arrays.find(one => one.name === "tables.hyper")?.shape[0];
    this.coder = exports.pico_coder_new(this.load(arrays, file), WINDOW);
    if (!this.coder) throw new PicoError("EngineError", "there is no memory for the decoder");
    this.pixels = this.room(3 * WINDOW * WINDOW);
  }

  room(bytes) {
    const place = this.wasm.malloc(Math.max(1, bytes));
    if (!place) throw new PicoError("EngineError", "there is no memory for the decoder");
    return place;
  }

  load(arrays, file) {

    const names = arrays.map(one => new TextEncoder().encode(`${one.name}\0`));
    const places = [];
    const put = bytes => {
      const place = this.room(bytes.length);
      places.push(place);
      new Uint8Array(this.wasm.memory.buffer).set(bytes, place);
      return place;
    };
    const records = new DataView(new ArrayBuffer(RECORD_BYTES * arrays.length));
    arrays.forEach((one, i) => {
      const at = i * RECORD_BYTES;
      records.setUint32(at, put(names[i]), true);
      records.setInt32(at + 4, one.type, true);
      records.setInt32(at + 8, one.shape.length, true);
      one.shape.forEach((side, k) => records.setBigInt64(at + SHAPE_AT + 8 * k, BigInt(side), true));
      records.setUint32(at + DATA_AT, put(file.subarray(one.begin, one.end)), true);
    });
    const table = put(new Uint8Array(records.buffer));
    const model = put(new Uint8Array(4));
    const reason = put(new Uint8Array(ROOM_FOR_REASON));
    const result = this.wasm.pico_model_new(table, arrays.length, 0, model, reason, ROOM_FOR_REASON);
    const memory = new Uint8Array(this.wasm.memory.buffer);
    const made = new DataView(memory.buffer).getUint32(model, true);
    const text = memory.subarray(reason, memory.indexOf(0, reason));
    const why = new TextDecoder().decode(text);
    for (const place of places) this.wasm.free(place);
    if (result) throw wrong(`the weights do not fit the decoder: ${why || result}`);
    return made;
  }

  /* The pixels of a learned tile as RGBA, opaque. `level` is in units of 1/4096. */
  decode(payload, width, height, channels, level) {
    if (level > 4096 * (this.levels - 1)) {
      throw corrupt(`its level is ${level / 4096}; its weights know 0 to ${this.levels - 1}; the file is damaged`);
    }
    const place = this.room(payload.length);
    new Uint8Array(this.wasm.memory.buffer).set(payload, place);
    const result = this.wasm.pico_decode(this.coder, place, payload.length, width, height, channels, level, this.pixels,
      width * channels);
    this.wasm.free(place);
    if (result === DAMAGED) throw corrupt("a tile is damaged, although its checksum matches");
    if (result) throw new PicoError("EngineError", `the decoder failed (${result})`);
    const count = width * height;
    return opaque(new Uint8Array(this.wasm.memory.buffer, this.pixels, count * channels), count, channels);
  }
}

const spare = []; // memory for the pixels of whole tiles

/* Take back memory that was given out as pixels. */
export function recycle(buffer) {
  if (buffer.byteLength === 4 * WINDOW * WINDOW && spare.length < 2) spare.push(buffer);
}

function opaque(source, count, channels) {
  // Little-endian, as every browser's machine is: R, G, B, A in memory.
  const words = count === WINDOW * WINDOW && spare.length ? new Uint32Array(spare.pop()) : new Uint32Array(count);
  if (channels === 1) {
    for (let i = 0; i < count; i += 1) words[i] = 0xff000000 | (source[i] * 0x10101);
  } else {
    for (let i = 0, j = 0; i < count; i += 1, j += 3) {
      words[i] = 0xff000000 | source[j] | (source[j + 1] << 8) | (source[j + 2] << 16);
    }
  }
  return new Uint8ClampedArray(words.buffer);
}
