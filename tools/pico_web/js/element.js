/* <pico-image src="photo.pico" alt="...">: shows a .pico picture as <img> shows others.

   Attributes: src, alt, loading="lazy", and width and height, which keep its place free until it is there. Events: "load"
   when all of it is shown, "error" with `detail`, a PicoError, and "preview" when the preview is. */

import { PicoPicture } from "./picture.js";

const STYLE = `
  :host { display: inline-block; max-width: 100%; vertical-align: middle; position: relative; }
  :host([hidden]) { display: none; }
  canvas { display: block; max-width: 100%; height: auto; }
  p { margin: 0; padding: .6em .9em; font: 14px/1.4 system-ui, sans-serif; color: #7c2d12; background: #fff7ed;
    overflow-wrap: anywhere; }`;

/* Let pages use the element; its pictures are decoded by this pool. */
export function define(pool, name = "pico-image") {
  if (customElements.get(name)) return;
  customElements.define(name, class extends PicoImage {
    get pool() { return pool; }
  });
}

class PicoImage extends HTMLElement {
  static observedAttributes = ["src", "alt", "width", "height"];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.note = document.createElement("p");
    this.note.setAttribute("role", "status");
    this.note.hidden = true;
    this.note.style.display = "none";
    root.append(this.canvas, this.note);
  }

  /* The opened picture, null until its headers are there. */
  picture = null;

  connectedCallback() { this.describe(); this.schedule(); }

  disconnectedCallback() {
    this.stop?.abort();
    this.watcher?.disconnect();
    this.loaded = null;
  }

  attributeChangedCallback(name) {
    this.describe();
    if (name === "src" && this.isConnected) this.schedule();
  }

  describe() {
    const alt = this.getAttribute("alt");
    if (alt) this.canvas.setAttribute("aria-label", alt);
    else this.canvas.removeAttribute("aria-label");
    for (const side of ["width", "height"]) {
      const value = Number(this.getAttribute(side));
      this.canvas.style[side] = value > 0 ? `${value}px` : "";
    }
    if (this.hasAttribute("width") && !this.hasAttribute("height")) this.canvas.style.height = "auto";
  }

  schedule() {
    this.watcher?.disconnect();
    if (this.getAttribute("loading") !== "lazy") {
      this.load();
      return;
    }
    this.watcher = new IntersectionObserver(seen => {
      if (!seen.some(one => one.isIntersecting)) return;
      this.watcher.disconnect();
      this.load();
    }, { rootMargin: "200px" });
    this.watcher.observe(this);
  }

  async load() {
    const address = this.getAttribute("src");
    this.stop?.abort();
    if (!address) return;
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.say("");
    try {
      const picture = await PicoPicture.open(new URL(address, document.baseURI).href, this.pool,
        { allowTruncated: true, signal });
      await picture.turn();
      if (signal.aborted) return;
      this.picture = picture;
      const { failed } = await picture.paint(this.canvas, { signal, visible: () => this.seen(), shown: () => this.dispatchEvent(new CustomEvent("preview")) });
      if (failed.length) throw failed[0];
      this.dispatchEvent(new CustomEvent("load"));
    } catch (error) {
      if (signal.aborted) return;
      this.say(`This picture cannot be shown in full: ${error.message}.`);
      this.dispatchEvent(new CustomEvent("error", { detail: error }));
    }
  }

  /* The part of the picture that the window shows. */
  seen() {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [this.canvas.width / (box.width || 1), this.canvas.height / (box.height || 1)];
    return [-box.left * x, -box.top * y, (innerWidth - box.left) * x, (innerHeight - box.top) * y];
  }

  say(text) {
    this.note.textContent = text;
    this.note.style.display = text ? "" : "none";
    this.note.hidden = !text;
  }
}
