/* The page: takes files, shows them in rows of equal height under the months in which they were taken, and opens one. */

import { chosenIn, entryOf, filesOf, isOriginal, isPico, listed, stem } from "./entries.js";
import { HEADING, arranged } from "./layout.js";
import { PicoPicture, drawUpright } from "./picture.js";
import { Viewer, sizeOf } from "./viewer.js";

const find = selector => document.querySelector(selector);
const BEYOND = 800; // pixels above and below the window in which thumbnails are made
const THUMBNAIL_SIDE = 400; // of a preview
const THUMBNAIL_PIXELS = 300_000; // of a picture without one
const OPENED_AT_ONCE = 4;
const BACKGROUND = 1; // of urgency: what is looked at goes first

const month = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });
const dayAndTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short" });
const dateOf = entry => new Date(entry.taken);
const when = entry => (entry.dated ? "" : "File of ") + dayAndTime.format(dateOf(entry));

/* Show what the page lists, and take what people bring. */
export function begin(pool) {
  const lacking = lacks();
  if (lacking) {
    find("#lacking").textContent = lacking;
    find("#lacking").hidden = false;
  }
  new Gallery(pool).start();
}

/* What this browser lacks, in words. */
function lacks() {
  const needed = [[typeof WebAssembly === "object", "WebAssembly"], [typeof DecompressionStream === "function", "DecompressionStream"],
    [typeof OffscreenCanvas === "function", "OffscreenCanvas"], [typeof Worker === "function", "workers"]];
  const missing = needed.filter(([there]) => !there).map(([, name]) => name);
  const simd = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253,
    98, 11);
  if (!missing.length && !WebAssembly.validate(simd)) missing.push("SIMD in WebAssembly");
  return missing.length ? `This browser lacks ${missing.join(", ")}, so it shows previews only. Any browser of 2023 or later `
    + "has all of it." : "";
}

class Gallery {
  constructor(pool) {
    Object.assign(this, { pool, list: [], originals: new Map(), tiles: new Map(), current: 0, pushed: false });
    this.grid = find("#grid");
    this.viewer = new Viewer({ entries: () => this.list, when, leave: () => this.leave(),
      shown: entry => this.choose(entry.place), closed: entry => this.focusOn(entry.place) });
  }

  start() {
    this.takeFiles();
    this.watch();
    const listing = document.getElementById("pico-album");
    const album = listing ? JSON.parse(listing.textContent) : null;
    if (!album) return;
    this.album = true;
    find("#title").textContent = document.title = album.title;
    find("#bring").hidden = true;
    this.add(album.pictures.map(({ name, path, bytes }) => ({ name, path, bytes, modified: 0,
      open: options => listed(path, this.pool, options) })));
  }

  takeFiles() {
    for (const input of document.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => { this.take(chosenIn(input)); input.value = ""; });
      const button = find(`#choose-${input.id}`);
      button.addEventListener("click", () => input.click());
      if (input.id === "folder" && (!("webkitdirectory" in input) || matchMedia("(hover: none)").matches)) button.hidden = true;
    }
    find("#choose-first").addEventListener("click", () => find("#files").click());
    addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("over"); });
    addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("over"); });
    addEventListener("drop", async event => {
      event.preventDefault();
      document.body.classList.remove("over");
      this.take(await filesOf(event.dataTransfer));
    });
  }

  take(files) {
    for (const { file, path } of files) if (isOriginal(path)) this.originals.set(stem(file.name), file);
    const pictures = files.filter(({ path }) => isPico(path));
    for (const entry of this.list) entry.original = this.originals.get(stem(entry.file));
    if (this.viewer.isOpen) this.viewer.update();
    if (!pictures.length) {
      const none = files.some(({ path }) => isOriginal(path)) && this.list.length ? "" : "There was no .pico file among these.";
      find("#summary").textContent = none || find("#summary").textContent;
      return;
    }
    this.add(pictures.map(({ file, path }) => ({ name: file.name, path, bytes: file.size, modified: file.lastModified,
      open: options => PicoPicture.open(file, this.pool, options) })));
  }

  async add(found) {
    document.body.classList.add("filled");
    find("#bring").hidden = true;
    const known = new Set(this.list.map(entry => `${entry.path} ${entry.bytes}`));
    const fresh = found.filter(one => !known.has(`${one.path} ${one.bytes}`));
    let left = fresh.length;
    const waiting = [...fresh];
    const one = async () => {
      while (waiting.length) {
        const { name, path, bytes, modified, open } = waiting.shift();
        const entry = await entryOf(name, bytes, modified, open);
        this.list.push(Object.assign(entry, { path, file: name, original: this.originals.get(stem(name)) }));
        left -= 1;
        if (left % 16 === 0 || left < 4) this.arrange(left);
      }
    };
    await Promise.all(Array.from({ length: OPENED_AT_ONCE }, one));
    this.arrange(0);
    if (found.length === 1 && this.list.length === 1 && !this.album) this.open(this.list[0]);
  }

  summarise(left) {
    if (!this.list.length && !left) return;
    const total = this.list.reduce((sum, entry) => sum + entry.bytes, 0);
    const broken = this.list.filter(entry => entry.error).length;
    find("#summary").textContent = `${this.list.length} photo${this.list.length === 1 ? "" : "s"}, ${sizeOf(total)}`
      + (broken ? `, ${broken} damaged` : "") + (left ? ", more to come" : "");
    find(".keys").hidden = !this.list.length;
    find("#more").hidden = this.album || !this.list.length;
  }

  arrange(left = 0) {
    const { list } = this;
    list.sort((a, b) => (a.taken < b.taken) - (a.taken > b.taken) || (a.name > b.name) - (a.name < b.name));
    list.forEach((entry, place) => { entry.place = place; });
    this.summarise(left);
    const { rows, titles, height } = arranged(list, this.grid.clientWidth, entry => month.format(dateOf(entry)));
    this.grid.style.height = height;
    this.rows = rows;
    for (const row of rows) for (const cell of row.cells) this.place(row, cell);
    for (const old of this.grid.querySelectorAll("h2")) old.remove();
    for (const title of titles) this.heading(title);
    const rank = child => (child.entry ? child.entry.place : child.begin - 0.5);
    [...this.grid.children].sort((a, b) => rank(a) - rank(b)).forEach((child, index) => {
      if (this.grid.children[index] !== child) this.grid.insertBefore(child, this.grid.children[index]);
    });
  }

  heading({ top, left, label, begin, end }) {
    const heading = document.createElement("h2");
    const number = document.createElement("span");
    heading.textContent = label;
    number.textContent = String(end - begin);
    heading.append(number);
    Object.assign(heading.style, { top: `${top + HEADING - 30}px`, left: `${left}px` });
    heading.begin = begin;
    this.grid.append(heading);
  }

  place(row, cell) {
    const entry = this.list[cell.place];
    const tile = this.tiles.get(entry) ?? this.create(entry);
    Object.assign(tile.style, { left: `${cell.left}px`, top: `${row.top}px`, width: `${cell.width}px`, height: `${row.height}px` });
    tile.tabIndex = cell.place === this.current ? 0 : -1;
    tile.setAttribute("aria-label",
      `${entry.name}, ${when(entry)}${entry.error ? `, ${entry.error}` : ""}, ${cell.place + 1} of ${this.list.length}`);
  }

  create(entry) {
    const tile = document.createElement("button");
    tile.className = "tile";
    tile.entry = entry;
    this.tiles.set(entry, tile);
    if (entry.width) {
      const canvas = document.createElement("canvas");
      const caption = document.createElement("span");
      caption.className = "caption";
      caption.textContent = `${entry.name} \u00b7 ${sizeOf(entry.bytes)}`;
      tile.append(canvas, caption);
      if (entry.error) tile.append(badge("damaged"));
      this.near.observe(tile);
    } else {
      tile.append(broken(entry.name, entry.error));
    }
    tile.addEventListener("click", () => this.open(entry));
    tile.addEventListener("focus", () => this.choose(entry.place));
    this.grid.append(tile);
    return tile;
  }

  watch() {
    this.near = new IntersectionObserver(seen => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        this.near.unobserve(target);
        this.thumbnail(target);
      }
    }, { rootMargin: `${BEYOND}px` });
    this.grid.addEventListener("keydown", event => this.key(event));
    addEventListener("popstate", () => { if (this.pushed) { this.pushed = false; this.viewer.close(); } });
    new ResizeObserver(() => this.arrange()).observe(this.grid.parentElement);
  }

  /* The preview, or where a file has none, the picture itself, made smaller. */
  async thumbnail(tile) {
    const { entry } = tile;
    const canvas = tile.querySelector("canvas");
    try {
      if (entry.preview) {
        const factor = Math.min(1, THUMBNAIL_SIDE / Math.max(entry.width, entry.height));
        [canvas.width, canvas.height] = [entry.width, entry.height].map(side => Math.max(1, Math.round(side * factor)));
        await drawUpright(canvas.getContext("2d"), entry.preview, entry.orientation);
      } else {
        const picture = await (await entry.open({ allowTruncated: true })).turn();
        await picture.paint(canvas, { mostPixels: THUMBNAIL_PIXELS, urgency: BACKGROUND });
      }
      canvas.classList.add("there");
    } catch (error) {
      tile.replaceChildren(broken(entry.name, error.message));
    }
  }

  // Choosing and opening

  choose(place) {
    for (const [entry, tile] of this.tiles) tile.tabIndex = entry.place === place ? 0 : -1;
    this.current = place;
  }

  focusOn(place) {
    this.choose(place);
    const tile = this.tiles.get(this.list[place]);
    tile?.scrollIntoView({ block: "nearest" });
    tile?.focus({ preventScroll: true });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowLeft: () => this.current - 1, ArrowRight: () => this.current + 1, ArrowUp: () => this.across(-1),
      ArrowDown: () => this.across(1), Home: () => 0, End: () => this.list.length - 1 }[event.key]?.();
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to < this.list.length) this.focusOn(to);
  }

  /* The tile in the row above or below whose middle is nearest. */
  across(direction) {
    const here = this.rows.findIndex(row => row.cells.at(-1).place >= this.current);
    const target = this.rows[here + direction];
    if (!target) return this.current;
    const middle = cell => cell.left + cell.width / 2;
    const mine = middle(this.rows[here].cells.find(cell => cell.place === this.current));
    return target.cells.reduce((a, b) => (Math.abs(middle(b) - mine) < Math.abs(middle(a) - mine) ? b : a)).place;
  }

  /* The browser's way back closes the viewer. */
  open(entry) {
    try {
      history.pushState(null, "");
      this.pushed = true;
    } catch { // a page without an address of its own
      this.pushed = false;
    }
    this.viewer.show(entry);
  }

  leave() {
    if (this.pushed) history.back();
    else this.viewer.close();
  }
}

function badge(text) {
  const element = document.createElement("span");
  element.className = "badge";
  element.textContent = text;
  return element;
}

function broken(name, text) {
  const notice = document.createElement("span");
  notice.className = "broken";
  const [title, what] = [document.createElement("b"), document.createElement("span")];
  title.textContent = name;
  what.textContent = text;
  notice.append(title, what);
  return notice;
}
