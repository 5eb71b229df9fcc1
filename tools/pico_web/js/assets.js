/* Where a page that is one script finds the decoder's WebAssembly and weights: inside itself, or beside the script.

   An asset is gzip in base64. Inside a page it is the text of an element with an id; beside it, a script that calls
   picoAsset(name, text), which a page can load from a disk too. */

import { PicoError } from "./errors.js";

const arrived = new Map(); // name -> text, from scripts

export const isOnDisk = () => location.protocol === "file:";

/* Let scripts beside the page bring assets. */
export function receive() {
  globalThis.picoAsset ??= (name, text) => arrived.set(name, text);
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

async function unpacked(text) {
  if (typeof DecompressionStream === "undefined") {
    throw new PicoError("EngineError", "this browser is too old to unpack the decoder; a browser of 2023 or later can");
  }
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* The bytes of an asset inside the page, once: its text takes much memory, and goes. null if it is not there. */
export async function inside(id) {
  const element = document.getElementById(id);
  if (!element) return null;
  const bytes = await unpacked(element.textContent.trim());
  element.remove();
  return bytes;
}

/* The text that a script beside the page brings. Over the network it is fetched, since that tells what went wrong. */
async function textBeside(address, name) {
  if (isOnDisk()) {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = () => { script.remove(); resolve(); };
      script.onerror = () => { script.remove(); reject(new PicoError("ReadError", `${name} is missing beside the page`)); };
      document.head.append(script);
    });
    const text = arrived.get(name);
    arrived.delete(name);
    return text ?? "";
  }
  const answer = await fetch(address).catch(error => {
    throw new PicoError("ReadError", `${name} cannot be fetched: ${error.message}`);
  });
  if (!answer.ok) return null;
  return /", "([^"]*)"/.exec(await answer.text())?.[1] ?? "";
}

/* The bytes of an asset beside the page; null if there is none. */
export async function beside(address, name) {
  const text = await textBeside(address, name);
  return text ? unpacked(text) : null;
}

/* What a Pool needs. `script` is the text of all of the decoder, `folder` the address of the folder of weights, null where
   they are inside the page. */
export function embedded(script, wasm, folder) {
  let module;
  return {
    makeWorker() {
      const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
      const worker = new Worker(address);
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      return worker;
    },
    module() { return module ??= unpacked(wasm()).then(bytes => WebAssembly.compile(bytes)); },
    weights(id) {
      const name = `weights-${id}`;
      return folder === null ? inside(`pico-${name}`) : beside(new URL(`${name}.js`, folder).href, name).catch(error => {
        if (isOnDisk()) return null;
        throw error;
      });
    },
  };
}
