/* One photo, large: loading it, keys and buttons, what is known of it, and the way to its neighbours. */

import { Stage } from "./stage.js";

const find = selector => document.querySelector(selector);
const UNANSWERED = "pico-library does not answer any more; start it again, and open the address that it prints";
const NUDGE = 80; // pixels that an arrow key moves a large picture

const dialog = find("#viewer");
const stageElement = find("#stage");
const [small, full, before] = ["#after .small", "#after .full", "#before .full"].map(find);
const buttons = Object.fromEntries(
  ["close", "out", "level", "in", "compare", "about", "previous", "next"].map(name => [name, find(`#${name}`)]));

let gallery; // what opened this: { entries(), tileAddress(entry), shown(entry), closed(entry) }
let entry = null;
let loading = null; // the controller of what is being fetched
let compareWanted = false;

const stage = new Stage(stageElement, { swiped: direction => go(direction), changed: () => showLevel() });

export function prepare(owner) { gallery = owner; }

export const isOpen = () => dialog.open;

export function show(next) {
  if (!dialog.open) {
    dialog.showModal();
    document.documentElement.style.overflow = "hidden";
    stageElement.focus({ preventScroll: true });
  }
  loading?.abort();
  loading = new AbortController();
  entry = next;
  for (const image of [full, before]) clear(image);
  find("#name").textContent = entry.name;
  find("#when").textContent = gallery.when(entry);
  dialog.setAttribute("aria-label", `${entry.name}, ${gallery.when(entry)}`);
  for (const image of [small, full]) image.alt = `${entry.name}, ${gallery.when(entry)}`;
  stage.reset(entry.width, entry.height);
  small.removeAttribute("src");
  say(null);
  update();
  gallery.shown(entry);
  load(entry, loading.signal);
}

export function close() {
  if (!dialog.open) return;
  loading?.abort();
  for (const image of [full, before]) clear(image);
  document.documentElement.style.overflow = "";
  dialog.close();
  gallery.closed(entry);
}

async function load(wanted, signal) {
  if (wanted.error) say(wanted.error, true);
  const known = describe(wanted, signal);
  if (!wanted.width) return;
  if (wanted.preview) small.src = gallery.tileAddress(wanted);
  const slow = setTimeout(() => { find("#work").hidden = signal.aborted; }, 150);
  try {
    await fill(full, `picture/${wanted.id}?v=${wanted.version}`, signal);
    if (!wanted.error) say(null);
    if (await known && compareWanted) compare(true);
    ahead(wanted, signal);
  } catch (error) {
    if (signal.aborted) return;
    say(error.isUnanswered ? error.message : wanted.error ?? error.message, true);
    if (error.isUnanswered) return;
    await fill(full, `remains/${wanted.id}?v=${wanted.version}`, signal).catch(() => {});
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) find("#work").hidden = true;
  }
}

/* Let the server decode the next photo while this one is looked at. */
async function ahead(wanted, signal) {
  const next = gallery.entries()[gallery.entries().indexOf(wanted) + 1];
  if (!next?.width || next.error) return;
  await new Promise(resolve => setTimeout(resolve, 400));
  if (!signal.aborted) fetch(`picture/${next.id}?v=${next.version}`, { signal, priority: "low" }).catch(() => {});
}

async function fetched(address, signal) {
  const answer = await fetch(address, { signal }).catch(error => {
    if (signal.aborted) throw error;
    throw Object.assign(new Error(UNANSWERED), { isUnanswered: true });
  });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer;
}

async function fill(image, address, signal) {
  const blob = await (await fetched(address, signal)).blob();
  if (signal.aborted) return;
  clear(image);
  image.src = URL.createObjectURL(blob);
  await image.decode();
}

function clear(image) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
}

async function describe(wanted, signal) {
  const list = find("#facts dl");
  list.replaceChildren();
  buttons.compare.disabled = true;
  try {
    const known = await (await fetched(`facts/${wanted.id}?v=${wanted.version}`, signal)).json();
    for (const [name, value] of known.facts) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      text.classList.toggle("problem", name === "Problem");
      list.append(term, text);
    }
    buttons.compare.disabled = !known.before;
    buttons.compare.title = known.before ? "Before and after (B)" : "The original is not to be found";
    return known.before;
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
    return false;
  }
}

async function compare(on) {
  compareWanted = on;
  buttons.compare.setAttribute("aria-pressed", on);
  if (!on || buttons.compare.disabled) {
    stage.compare(false);
    if (!on) stageElement.focus({ preventScroll: true });
    return;
  }
  const { signal } = loading;
  try {
    if (!before.src) {
      find("#work").hidden = false;
      await fill(before, `original/${entry.id}?v=${entry.version}`, signal);
    }
    if (signal.aborted || !compareWanted) return;
    stage.compare(true);
    stage.draw();
    find("#divider").focus({ preventScroll: true });
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  } finally {
    if (!signal.aborted && full.src) find("#work").hidden = true;
  }
}

function say(text, bad = false) {
  const message = find("#message");
  message.hidden = !text;
  message.textContent = text ?? "";
  message.classList.toggle("bad", bad);
}

function showLevel() {
  buttons.level.textContent = `${stage.percent} %`;
  buttons.out.disabled = stage.fits;
  buttons.in.disabled = buttons.level.disabled = !entry?.width;
}

function update() {
  const entries = gallery.entries();
  const place = entries.indexOf(entry);
  buttons.previous.disabled = place <= 0;
  buttons.next.disabled = place >= entries.length - 1;
  find("#work").hidden = true;
  buttons.compare.setAttribute("aria-pressed", compareWanted);
}

function go(direction) {
  const entries = gallery.entries();
  const next = entries[entries.indexOf(entry) + direction];
  if (next) show(next);
}

function about(on = find("#facts").hidden) {
  find("#facts").hidden = !on;
  buttons.about.setAttribute("aria-pressed", on);
}

/* Arrow keys: move a picture that is larger than the window, else go to another one. */
function arrow(key) {
  const [dx, dy] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
  if (stage.fits) { if (dx) go(-dx); } else stage.pan(dx * NUDGE, dy * NUDGE);
}

const KEYS = {
  "+": () => stage.step(1), "=": () => stage.step(1), "-": () => stage.step(-1), "_": () => stage.step(-1),
  0: () => stage.fit(), 1: () => stage.zoom(stage.true),
  b: () => { if (!buttons.compare.disabled) compare(!compareWanted); },
  i: () => about(),
  PageDown: () => go(1), PageUp: () => go(-1),
};

dialog.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const action = key.startsWith("Arrow") ? () => arrow(key) : KEYS[key];
  if (!action || event.target.closest("#facts")) return;
  event.preventDefault();
  action();
});
dialog.addEventListener("cancel", event => { event.preventDefault(); gallery.leave(); });

buttons.close.addEventListener("click", () => gallery.leave());
buttons.in.addEventListener("click", () => stage.step(1));
buttons.out.addEventListener("click", () => stage.step(-1));
buttons.level.addEventListener("click", () => (stage.fits ? stage.zoom(stage.true) : stage.fit()));
buttons.compare.addEventListener("click", () => compare(!compareWanted));
buttons.about.addEventListener("click", () => about());
buttons.previous.addEventListener("click", () => go(-1));
buttons.next.addEventListener("click", () => go(1));
