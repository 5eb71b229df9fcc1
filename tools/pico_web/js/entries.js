/* Files that were dropped, chosen or listed by the page, as entries of the gallery; and which original belongs to which. */

import { beside, isOnDisk } from "./assets.js";
import { takenAt } from "./exif.js";
import { PicoPicture } from "./picture.js";

const PICTURE = /\.(jpe?g|png|webp|avif|gif|bmp|tiff?|heic|heif|jxl)$/i;
const MOST_FILES = 20_000;

/* All files of a drop, those in folders too. */
export async function filesOf(transfer) {
  const roots = [...transfer.items].map(item => item.webkitGetAsEntry?.() ?? item.getAsFile?.()).filter(Boolean);
  const files = [];
  for (const root of roots) await walk(root, files, root.name);
  return files;
}

async function walk(entry, files, path) {
  if (files.length >= MOST_FILES) return;
  if (entry instanceof File) {
    files.push({ file: entry, path });
  } else if (entry.isFile) {
    const file = await new Promise(resolve => { entry.file(resolve, () => resolve(null)); });
    if (file) files.push({ file, path });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise(resolve => { reader.readEntries(resolve, () => resolve([])); });
      if (!some.length) break;
      for (const one of some) await walk(one, files, `${path}/${one.name}`);
    }
  }
}

/* The chosen files of an <input>. */
export const chosenIn = input => [...input.files].map(file => ({ file, path: file.webkitRelativePath || file.name }));

export const isPico = path => /\.pico$/i.test(path);
export const isOriginal = path => PICTURE.test(path);

/* The name that a .pico file and its original have in common: photo.jpg.pico, photo.pico and photo.jpg all give photo. */
export const stem = path => path.toLowerCase().replace(/\.pico$/, "").replace(PICTURE, "");

/* What a gallery shows of a file before it is opened. `open(options)` gives a PicoPicture. */
export async function entryOf(name, bytes, given, open) {
  const entry = { name: name.replace(/\.pico$/i, ""), bytes, open, width: 0, height: 0, taken: "", dated: false, error: "" };
  let modified = given;
  try {
    const picture = await open({ allowTruncated: true });
    await picture.turn();
    [entry.width, entry.height] = picture.size;
    const exif = await picture.exif().catch(error => { entry.error = error.message; return null; });
    entry.taken = takenAt(exif) ?? "";
    entry.dated = Boolean(entry.taken);
    entry.preview = await picture.preview().catch(error => { entry.error = error.message; return null; });
    entry.orientation = picture.orientation;
    if (picture.isTruncated) entry.error ||= "the file ends too early";
    picture.close();
  } catch (error) {
    entry.error = error.message;
  }
  if (!entry.dated) entry.taken = new Date(modified || Date.now()).toISOString().slice(0, 19);
  return entry;
}

/* How a listed picture of an album is opened: over the network as it arrives, from a disk by a script beside it. */
export async function listed(address, pool, options) {
  if (!isOnDisk()) return PicoPicture.open(address, pool, options);
  const bytes = await beside(`${address}.js`, address);
  return PicoPicture.open(bytes ?? new Uint8Array(0), pool, options);
}
