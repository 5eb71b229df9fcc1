/* One photo, large: drawing it, keys and buttons, what is known of it, saving it, and the way to its neighbours. */

import { facts } from "./exif.js";
import { toJpeg, toPng } from "./saving.js";
import { Stage } from "./stage.js";

const find = selector => document.querySelector(selector);
const NUDGE = 80; // pixels that an arrow key moves a large picture
const whole = new Intl.NumberFormat("en-GB");

export const sizeOf = bytes => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

export class Viewer {
  /* `gallery` has entries(), when(entry), shown(entry) and closed(entry), and leave(), which asks to close. */
  constructor(gallery) {
    this.gallery = gallery;
    this.entry = null;
    this.wanted = false; // comparing
    this.dialog = find("#viewer");
    this.canvas = find("#after canvas");
    this.before = find("#before .full");
    this.buttons = Object.fromEntries(["close", "out", "level", "in", "compare", "about", "jpeg", "png", "previous", "next"]
      .map(name => [name, find(`#${name}`)]));
    this.stage = new Stage(find("#stage"), { swiped: direction => this.go(direction), changed: () => this.showLevel() });
    this.listen();
  }

  get isOpen() { return this.dialog.open; }

  show(entry) {
    if (!this.isOpen) {
      this.dialog.showModal();
      document.documentElement.style.overflow = "hidden";
      find("#stage").focus({ preventScroll: true });
    }
    this.stopped?.abort();
    this.stopped = new AbortController();
    Object.assign(this, { entry, picture: null });
    this.blank();
    find("#name").textContent = entry.name;
    find("#when").textContent = this.gallery.when(entry);
    const label = `${entry.name}, ${this.gallery.when(entry)}`;
    this.dialog.setAttribute("aria-label", label);
    this.canvas.setAttribute("aria-label", label);
    this.stage.reset(entry.width, entry.height);
    this.say(null);
    this.update();
    this.gallery.shown(entry);
    this.load(entry, this.stopped.signal);
  }

  blank() {
    this.canvas.width = this.canvas.height = 0; // frees its memory
    if (this.before.src) URL.revokeObjectURL(this.before.src);
    this.before.removeAttribute("src");
  }

  close() {
    if (!this.isOpen) return;
    this.stopped?.abort();
    this.blank();
    document.documentElement.style.overflow = "";
    this.dialog.close();
    this.gallery.closed(this.entry);
  }

  async load(entry, signal) {
    const list = find("#facts dl");
    list.replaceChildren();
    const slow = setTimeout(() => { find("#work").hidden = signal.aborted; }, 150);
    try {
      const picture = await (await entry.open({ allowTruncated: true, signal })).turn();
      if (signal.aborted) return;
      this.picture = picture;
      await this.describe(entry, picture);
      if (signal.aborted) return;
      this.update();
      const { failed, scale } = await picture.paint(this.canvas, { signal, visible: () => this.seen() });
      this.canvas.dataset.complete = String(!failed.length);
      this.report(entry, picture, failed, scale);
      if (this.wanted) this.compare(true);
    } catch (error) {
      if (signal.aborted) return;
      this.say(`${entry.name} cannot be shown: ${error.message}.`, true);
      this.fact("Problem", error.message);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) find("#work").hidden = true;
    }
  }

  report(entry, picture, failed, scale) {
    const count = picture.container.tiles.length;
    if (failed.length) {
      const missing = failed.length >= count ? "Only its preview can be shown" : `${failed.length} of ${count} parts are missing`;
      this.say(`${missing}: ${failed[0].message}.`, true);
      this.fact("Problem", failed[0].message);
    } else if (entry.error) {
      this.say(`${entry.error}.`, true);
    } else if (picture.note) {
      this.say(picture.note);
    } else if (scale > 1) {
      this.say(`It is too large for this browser: 1 pixel in ${scale} a side is shown. Saving keeps all of them.`);
    }
  }

  /* The part of the picture that the window shows, in pixels of the picture. */
  seen() {
    const { x, y, scale, box } = this.stage;
    return [-x / scale, -y / scale, (box[0] - x) / scale, (box[1] - y) / scale];
  }

  async describe(entry, picture) {
    const exif = await picture.exif().catch(() => null);
    const coded = picture.modelId === null ? "Lossless"
      : picture.quality === null ? `Level ${(picture.level / 4096).toFixed(2)}` : `Quality ${picture.quality}`;
    for (const [name, value] of [["File", entry.path ?? entry.name], ...facts(exif),
      ["Pixels", `${whole.format(picture.width)} \u00d7 ${whole.format(picture.height)}`],
      ["Size", sizeOf(entry.bytes)], ["Coded", coded],
      ["Original", entry.original ? `${entry.original.name}, ${sizeOf(entry.original.size)}` : ""]]) {
      if (value) this.fact(name, value);
    }
  }

  fact(name, value) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    text.textContent = value; // never markup: it comes from the file
    text.classList.toggle("problem", name === "Problem");
    find("#facts dl").append(term, text);
  }

  async compare(on) {
    this.wanted = on;
    this.buttons.compare.setAttribute("aria-pressed", on);
    if (!on || !this.entry.original) {
      this.stage.compare(false);
      if (!on) find("#stage").focus({ preventScroll: true });
      return;
    }
    const { signal } = this.stopped;
    try {
      if (!this.before.src) {
        this.before.src = URL.createObjectURL(this.entry.original);
        await this.before.decode();
      }
      if (signal.aborted || !this.wanted) return;
      this.stage.compare(true);
      this.stage.draw();
      find("#divider").focus({ preventScroll: true });
    } catch {
      if (!signal.aborted) this.say(`This browser cannot show ${this.entry.original.name}.`, true);
    }
  }

  async save(kind, write) {
    const { entry, picture } = this;
    if (!picture) return;
    find("#work").hidden = false;
    try {
      const blob = await write(picture);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${entry.name.replace(/\.[^.]*$/, "")}.${kind}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.say(`Saved ${link.download}, ${sizeOf(blob.size)}.`);
    } catch (error) {
      this.say(`${entry.name} cannot be saved: ${error.message}.`, true);
    } finally {
      find("#work").hidden = true;
    }
  }

  say(text, bad = false) {
    const message = find("#message");
    message.hidden = !text;
    message.textContent = text ?? "";
    message.classList.toggle("bad", bad);
  }

  showLevel() {
    this.buttons.level.textContent = `${this.stage.percent} %`;
    this.buttons.out.disabled = this.stage.fits;
    this.buttons.in.disabled = this.buttons.level.disabled = !this.entry?.width;
  }

  update() {
    const entries = this.gallery.entries();
    const place = entries.indexOf(this.entry);
    this.buttons.previous.disabled = place <= 0;
    this.buttons.next.disabled = place >= entries.length - 1;
    this.buttons.jpeg.disabled = this.buttons.png.disabled = !this.picture;
    this.buttons.compare.disabled = !this.entry.original;
    this.buttons.compare.title = this.entry.original ? "Before and after (B)" : "Before and after: drop the original here too";
    this.buttons.compare.setAttribute("aria-pressed", this.wanted);
  }

  go(direction) {
    const entries = this.gallery.entries();
    const next = entries[entries.indexOf(this.entry) + direction];
    if (next) this.show(next);
  }

  about(on = find("#facts").hidden) {
    find("#facts").hidden = !on;
    this.buttons.about.setAttribute("aria-pressed", on);
  }

  /* Arrow keys: move a picture that is larger than the window, else go to another one. */
  arrow(key) {
    const [dx, dy] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (this.stage.fits) { if (dx) this.go(-dx); } else this.stage.pan(dx * NUDGE, dy * NUDGE);
  }

  listen() {
    const { stage, buttons } = this;
    const keys = {
      "+": () => stage.step(1), "=": () => stage.step(1), "-": () => stage.step(-1), "_": () => stage.step(-1),
      0: () => stage.fit(), 1: () => stage.zoom(stage.true), b: () => this.compare(!this.wanted), i: () => this.about(),
      s: () => this.save("jpg", toJpeg), PageDown: () => this.go(1), PageUp: () => this.go(-1),
    };
    this.dialog.addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const action = key.startsWith("Arrow") ? () => this.arrow(key) : keys[key];
      if (!action || event.target.closest("#facts")) return;
      event.preventDefault();
      action();
    });
    this.dialog.addEventListener("cancel", event => { event.preventDefault(); this.gallery.leave(); });
    const clicks = { close: () => this.gallery.leave(), in: () => stage.step(1), out: () => stage.step(-1),
      level: () => (stage.fits ? stage.zoom(stage.true) : stage.fit()), compare: () => this.compare(!this.wanted),
      about: () => this.about(), jpeg: () => this.save("jpg", toJpeg), png: () => this.save("png", toPng),
      previous: () => this.go(-1), next: () => this.go(1) };
    for (const [name, action] of Object.entries(clicks)) buttons[name].addEventListener("click", action);
  }
}
