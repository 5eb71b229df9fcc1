/* All photos, in rows of equal height under the months in which they were taken. Of thousands, only the tiles in
   sight and those just beyond exist. */

import { HEADING, arranged } from "./layout.js";
import * as viewer from "./viewer.js";

const BEYOND = 600; // pixels above and below the window in which tiles exist too
const SLOW_AT_ONCE = 1; // tiles that the server must decode whole pictures for
const TINY = 2; // pictures that would be enlarged more are shown as they are
const MOST_KEPT = 400; // of these in memory

const grid = document.querySelector("#grid");
const entries = []; // the newest first
const tiles = new Map(); // id -> element
const headings = new Map(); // label -> element
const decoded = new Map(); // id -> blob address
let rows = []; // { top, height, cells: [{ place, left, width }] }
let titles = []; // { top, left, label, begin, end }
let current = 0; // the place of the tile that Tab leads to
let complete = false;
let total = 0;

const month = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });
const dayAndTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short" });

function date(entry) {
  const [year, number, day, hour, minute] = entry.taken.split(/[-T:]/).map(Number);
  return new Date(year, number - 1, day, hour, minute);
}

const when = entry => (entry.dated ? "" : "File written on ") + dayAndTime.format(date(entry));
const tileAddress = entry => `tile/${entry.id}?v=${entry.version}`;

// Getting the entries

async function listen() {
  let have = 0;
  let title = "";
  try {
    while (!complete) {
      const answer = await fetch(`list?from=${have}`);
      if (!answer.ok) throw new Error(await answer.text());
      const news = await answer.json();
      have += news.entries.length;
      complete = news.complete;
      title = news.title;
      add(news.entries);
      document.querySelector("#title").textContent = document.title = title;
      summarise();
    }
  } catch (error) {
    document.querySelector("#summary").textContent = `The list ended early: ${error.message}`;
  }
  document.querySelector("#empty").hidden = entries.length > 0;
}

function add(found) {
  const anchor = anchored();
  const chosen = entries[current];
  const known = new Set(entries.map(entry => entry.id));
  for (const entry of found.filter(one => !known.has(one.id))) {
    entry.name = entry.name.replace(/\.pico$/i, "");
    total += entry.bytes;
    entries.push(entry);
  }
  entries.sort((a, b) => (a.taken < b.taken) - (a.taken > b.taken) || (a.name > b.name) - (a.name < b.name));
  entries.forEach((entry, place) => { entry.place = place; });
  current = tiles.size && chosen ? chosen.place : 0;
  arrange();
  if (anchor) restore(anchor);
  draw();
  openFromAddress();
}

function summarise() {
  const count = entries.length;
  document.querySelector(".keys").hidden = !count;
  const size = total < 1e6 ? `${Math.round(total / 1e3)} kB` : total < 1e9 ? `${(total / 1e6).toFixed(1)} MB`
    : `${(total / 1e9).toFixed(1)} GB`;
  const broken = entries.filter(entry => entry.error).length;
  document.querySelector("#summary").textContent =
    `${count.toLocaleString("en-GB")} photo${count === 1 ? "" : "s"}, ${size}`
    + (broken ? `, ${broken.toLocaleString("en-GB")} damaged` : "") + (complete ? "" : " so far");
  if (complete && !count) document.querySelector("#summary").textContent = "";
}

// Arranging them

function arrange() {
  ({ rows, titles, height: grid.style.height } = arranged(entries, grid.clientWidth, entry => month.format(date(entry))));
}

/* The tile at the top of the window and where it is, so that it can be there again after rearranging. */
function anchored() {
  const seen = window.scrollY - grid.offsetTop;
  if (seen <= 0) return null;
  const row = rows.find(one => one.top + one.height > seen);
  return row ? { entry: entries[row.cells[0].place], below: row.top - seen } : null;
}

const rowOf = place => rows.findIndex(row => row.cells.at(-1).place >= place);

function restore({ entry, below }) {
  window.scrollTo({ top: rows[rowOf(entry.place)].top - below + grid.offsetTop, behavior: "instant" });
}

// Drawing them

function draw() {
  const from = window.scrollY - grid.offsetTop - BEYOND;
  const to = from + window.innerHeight + 2 * BEYOND;
  const kept = new Set();
  rows.forEach(row => {
    const near = row.top + row.height > from && row.top < to;
    const holdsCurrent = row.cells[0].place <= current && current <= row.cells.at(-1).place;
    if (!near && !holdsCurrent) return; // what Tab leads to must always exist
    for (const cell of row.cells) {
      const entry = entries[cell.place];
      kept.add(entry.id);
      const tile = tiles.get(entry.id) ?? create(entry);
      tile.style.left = `${cell.left}px`;
      tile.style.top = `${row.top}px`;
      tile.style.width = `${cell.width}px`;
      tile.style.height = `${row.height}px`;
      tile.classList.toggle("tiny", TINY * entry.height < row.height);
      tile.tabIndex = cell.place === current ? 0 : -1;
      tile.setAttribute("aria-label", `${entry.name}, ${when(entry)}${entry.error ? `, ${entry.error}` : ""}, `
        + `${cell.place + 1} of ${entries.length}`);
    }
  });
  for (const [id, tile] of tiles) if (!kept.has(id)) discard(id, tile);
  drawTitles(from, to);
  inOrder();
}

function drawTitles(from, to) {
  const kept = new Set();
  for (const { top, left, label, begin, end } of titles) {
    if (top + HEADING < from || top > to) continue;
    kept.add(label);
    let heading = headings.get(label);
    if (!heading) {
      heading = document.createElement("h2");
      headings.set(label, heading);
      grid.append(heading);
    }
    heading.textContent = label;
    const number = document.createElement("span");
    number.textContent = (end - begin).toLocaleString("en-GB");
    heading.append(number);
    heading.style.top = `${top + 22}px`;
    heading.style.left = `${left}px`;
    heading.begin = begin;
  }
  for (const [label, heading] of headings) {
    if (!kept.has(label)) { heading.remove(); headings.delete(label); }
  }
}

/* The order in the document is the one on the screen, for those who do not see the latter. */
function inOrder() {
  const wanted = [...grid.children].sort((a, b) => rank(a) - rank(b));
  wanted.forEach((child, index) => {
    if (grid.children[index] !== child) {
      const focused = child === document.activeElement;
      grid.insertBefore(child, grid.children[index]);
      if (focused) child.focus({ preventScroll: true });
    }
  });
}

const rank = child => (child.entry ? child.entry.place : child.begin - 0.5);

function create(entry) {
  const tile = document.createElement("button");
  tile.className = "tile";
  tile.entry = entry;
  tiles.set(entry.id, tile);
  if (entry.width) {
    const image = document.createElement("img");
    image.alt = "";
    image.addEventListener("load", () => image.classList.add("there"));
    image.addEventListener("error", () => { if (image.src) broken(tile, entry, "the preview cannot be shown"); });
    tile.append(image);
    const caption = document.createElement("span");
    caption.className = "caption";
    caption.textContent = `${entry.name.split(/[\\/]/).at(-1)} \u00b7 ${entry.size}`;
    tile.append(caption);
    if (entry.preview) image.src = tileAddress(entry);
    else if (decoded.has(entry.id)) image.src = decoded.get(entry.id);
    else waiting.add(tile);
    if (entry.error) mark(tile, "damaged");
  } else {
    broken(tile, entry, entry.error);
  }
  tile.addEventListener("click", () => open(entry));
  tile.addEventListener("focus", () => choose(entry.place));
  grid.append(tile);
  serve();
  return tile;
}

function discard(id, tile) {
  waiting.delete(tile);
  tile.stop?.abort();
  tile.querySelector("img")?.removeAttribute("src");
  tile.remove();
  tiles.delete(id);
}

function mark(tile, text) {
  const badge = document.createElement("span");
  badge.className = "badge";
  badge.textContent = text;
  tile.append(badge);
}

function broken(tile, entry, text) {
  const notice = document.createElement("span");
  notice.className = "broken";
  const [name, what] = [document.createElement("b"), document.createElement("span")];
  name.textContent = entry.name;
  what.textContent = text;
  const sign = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  sign.setAttribute("viewBox", "0 0 24 24");
  sign.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M12 3.5l9.5 16.5h-19zM12 10v4.5M12 17v.2");
  sign.append(path);
  notice.append(sign, name, what);
  tile.replaceChildren(notice);
}

// Tiles of files without a preview: the server decodes these, so a few wait here and not in its queue

const waiting = new Set();
let atWork = 0;

async function serve() {
  if (atWork >= SLOW_AT_ONCE || !waiting.size || viewer.isOpen()) return;
  const middle = window.scrollY - grid.offsetTop + window.innerHeight / 2;
  const distance = tile => Math.abs(parseFloat(tile.style.top || 0) - middle);
  const tile = [...waiting].reduce((best, one) => (distance(one) < distance(best) ? one : best));
  waiting.delete(tile);
  atWork += 1;
  tile.stop = new AbortController();
  try {
    const answer = await fetch(tileAddress(tile.entry), { signal: tile.stop.signal });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    keep(tile.entry.id, URL.createObjectURL(await answer.blob()));
    tile.querySelector("img").src = decoded.get(tile.entry.id);
  } catch (error) {
    if (!tile.stop.signal.aborted) broken(tile, tile.entry, error.message);
  } finally {
    atWork -= 1;
    serve();
  }
}

function keep(id, address) {
  decoded.set(id, address);
  if (decoded.size > MOST_KEPT) {
    const [oldest] = [...decoded.keys()].filter(one => !tiles.has(one));
    if (oldest) { URL.revokeObjectURL(decoded.get(oldest)); decoded.delete(oldest); }
  }
}

// Keys

function choose(place) {
  const before = tiles.get(entries[current]?.id);
  if (before) before.tabIndex = -1;
  current = place;
  const tile = tiles.get(entries[current].id);
  if (tile) tile.tabIndex = 0;
}

function focusOn(place) {
  choose(place);
  reveal(place);
  draw();
  tiles.get(entries[place].id).focus({ preventScroll: true });
}

function reveal(place) {
  const row = rows[rowOf(place)];
  const top = row.top + grid.offsetTop;
  if (top - HEADING < window.scrollY) window.scrollTo({ top: top - HEADING - 8, behavior: "instant" });
  else if (top + row.height > window.scrollY + window.innerHeight) {
    window.scrollTo({ top: top + row.height + 12 - window.innerHeight, behavior: "instant" });
  }
}

/* The tile in the row above or below whose middle is nearest. */
function across(direction) {
  const here = rowOf(current);
  const target = rows[here + direction];
  if (!target) return current;
  const middle = cell => cell.left + cell.width / 2;
  const mine = middle(rows[here].cells.find(cell => cell.place === current));
  return target.cells.reduce((a, b) => (Math.abs(middle(b) - mine) < Math.abs(middle(a) - mine) ? b : a)).place;
}

grid.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const to = {
    ArrowLeft: () => current - 1, ArrowRight: () => current + 1, ArrowUp: () => across(-1), ArrowDown: () => across(1),
    Home: () => 0, End: () => entries.length - 1,
  }[event.key]?.();
  if (to === undefined) return;
  event.preventDefault();
  if (to >= 0 && to < entries.length) focusOn(to);
});

// Whoever has not chosen anything yet can begin with an arrow, too
document.addEventListener("keydown", event => {
  if (document.activeElement !== document.body || viewer.isOpen() || !entries.length) return;
  if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
  event.preventDefault();
  focusOn(current);
});

// Opening one; the browser's way back closes it

let pushed = false;

function open(entry) {
  history.pushState(null, "", `#${entry.id}`);
  pushed = true;
  viewer.show(entry);
}

function leave() {
  if (pushed) {
    history.back();
  } else {
    history.replaceState(null, "", location.pathname);
    viewer.close();
  }
}

function moved() {
  if (location.hash) {
    openFromAddress();
  } else {
    pushed = false;
    viewer.close();
  }
}

function openFromAddress() {
  const entry = entries.find(one => `#${one.id}` === location.hash);
  if (entry && !viewer.isOpen()) viewer.show(entry);
}

viewer.prepare({
  entries: () => entries,
  tileAddress,
  when,
  shown: entry => {
    choose(entry.place);
    if (location.hash !== `#${entry.id}`) history.replaceState(null, "", `#${entry.id}`);
  },
  closed: entry => {
    focusOn(entry.place);
    serve();
  },
  leave,
});

window.addEventListener("popstate", moved);

let due = false;
window.addEventListener("scroll", () => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; draw(); serve(); });
}, { passive: true });

new ResizeObserver(() => {
  const anchor = anchored();
  arrange();
  if (anchor) restore(anchor);
  draw();
}).observe(grid.parentElement);

new EventSource("alive"); // as long as it is open, somebody looks
listen();
