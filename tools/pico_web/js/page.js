/* What happens where the decoder is one script: `<pico-image>` works, and a page made for it becomes a gallery. */

import { embedded, receive } from "./assets.js";
import { define } from "./element.js";
import { facts, takenAt } from "./exif.js";
import { begin } from "./gallery.js";
import { PicoPicture } from "./picture.js";
import { Pool } from "./pool.js";
import { toJpeg, toPng } from "./saving.js";
import { WASM } from "./wasm.js";

/* `text` is that of this script, `element` the <script> that holds it or points to it. */
export function start(text, element) {
  receive();
  const isInside = document.querySelector("[id^=pico-weights-]") !== null;
  const pool = new Pool(embedded(text, () => WASM, isInside ? null : new URL(".", element.src).href));
  define(pool);
  globalThis.pico = { open: (given, options) => PicoPicture.open(given, pool, options), pool, toJpeg, toPng, facts, takenAt };
  const ready = () => { if (document.getElementById("pico-page")) begin(pool); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
}
