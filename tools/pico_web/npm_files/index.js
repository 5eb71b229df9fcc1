/* The decoder for people who build pages. See README.md and index.d.ts. */

import { define } from "./element.js";
import { facts, takenAt } from "./exif.js";
import { PicoError } from "./errors.js";
import { PicoPicture } from "./picture.js";
import { Pool } from "./pool.js";
import { toJpeg, toPng } from "./saving.js";

export { PicoError, facts, takenAt, toJpeg, toPng };

async function fetched(address) {
  const answer = await fetch(address);
  if (answer.status === 404) return null;
  if (!answer.ok) throw new PicoError("ReadError", `${address}: the server answers ${answer.status}`);
  return answer;
}

async function unpacked(answer) {
  const stream = answer.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* Workers and weights from this package, or from other addresses. */
export function createDecoder({ wasm = new URL("./pico.wasm", import.meta.url),
  weights = id => new URL(`./weights/${id}.bin`, import.meta.url), workers } = {}) {
  let module;
  const pool = new Pool({
    makeWorker: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
    module: () => module ??= fetched(wasm).then(async answer => WebAssembly.compile(await answer.arrayBuffer())),
    weights: async id => {
      const answer = await fetched(weights(id));
      return answer && unpacked(answer);
    },
  }, workers);
  return {
    open: async (given, options) => (await PicoPicture.open(given, pool, options)).turn(),
    defineElement: name => define(pool, name),
    close: () => pool.close(),
  };
}
