/* The picture in the window: zooming, moving it, and the slider between before and after. */

const FARTHEST = 8; // device pixels for one of the picture
const STEP = 1.5;
const SWIPE = 60;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Stage {
  /* `swiped(direction)` is called when a finger pushes the whole picture aside, `changed()` after every change. */
  constructor(root, { swiped, changed }) {
    this.root = root;
    this.swiped = swiped;
    this.changed = changed;
    const find = name => root.querySelector(name);
    this.after = find("#after");
    this.before = find("#before");
    this.divider = find("#divider");
    this.tags = [find("#tag-before"), find("#tag-after")];
    this.sheets = root.querySelectorAll(".sheet");
    this.fingers = new Map();
    this.comparing = false;
    this.at = 0.5;
    this.size = [1, 1];
    this.scale = 1;
    this.wasFitting = true;
    root.addEventListener("pointerdown", event => this.pressed(event));
    root.addEventListener("pointermove", event => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, event => this.released(event));
    root.addEventListener("wheel", event => this.wheeled(event), { passive: false });
    root.addEventListener("dblclick", event => {
      const here = this.pointer === "mouse" && !event.target.closest("button, .divider");
      if (here) this.toggle(...this.inside(event)); // fingers: see tapped
    });
    this.divider.addEventListener("keydown", event => this.slide(event));
    new ResizeObserver(() => this.resized()).observe(root);
  }

  /* Begin with another picture of that many pixels. */
  reset(width, height) {
    this.size = [width || 1, height || 1];
    for (const sheet of this.sheets) {
      sheet.style.width = `${this.size[0]}px`;
      sheet.style.height = `${this.size[1]}px`;
    }
    this.compare(false);
    this.fit();
  }

  get box() { return [this.root.clientWidth, this.root.clientHeight]; }

  /* The scale at which all of the picture shows; small ones are not enlarged. */
  get fitting() {
    const [wide, high] = this.box;
    return Math.min(wide / this.size[0], high / this.size[1], this.true);
  }

  /* The scale at which a pixel of the picture is one of the screen. */
  get true() { return 1 / window.devicePixelRatio; }

  get fits() { return this.scale <= this.fitting * 1.001; }

  get percent() { return Math.round(100 * this.scale / this.true); }

  fit() {
    this.scale = this.fitting;
    this.place(0, 0);
  }

  /* Zoom so that the point of the picture at (x, y) of the window stays there. */
  zoom(scale, x = this.box[0] / 2, y = this.box[1] / 2) {
    const next = clamp(scale, this.fitting, FARTHEST * this.true);
    const factor = next / this.scale;
    this.scale = next;
    this.place(x - (x - this.x) * factor, y - (y - this.y) * factor);
  }

  step(direction) {
    const next = this.scale * (direction > 0 ? STEP : 1 / STEP);
    const passed = (this.scale - this.true) * (next - this.true) < 0; // never step over true pixels
    this.zoom(passed ? this.true : next);
  }

  toggle(x, y) {
    if (this.fits && this.fitting < this.true * 0.999) this.zoom(this.true, x, y);
    else if (this.fits) this.zoom(2 * this.true, x, y);
    else this.fit();
  }

  pan(dx, dy) { this.place(this.x + dx, this.y + dy); }

  place(x, y) {
    [this.x, this.y] = [x, y].map((value, axis) => {
      const free = this.box[axis] - this.size[axis] * this.scale;
      return free >= 0 ? free / 2 : clamp(value, free, 0);
    });
    this.draw();
  }

  draw() {
    const dots = window.devicePixelRatio; // on whole pixels of the screen, or true pixels would blur
    const [x, y] = [this.x, this.y].map(value => Math.round(value * dots) / dots);
    for (const sheet of this.sheets) sheet.style.transform = `translate(${x}px, ${y}px) scale(${this.scale})`;
    this.wasFitting = this.fits;
    this.root.classList.toggle("large", !this.fits);
    this.root.classList.toggle("pixels", this.percent >= 200);
    const [left, right] = this.span(0);
    const [top, bottom] = this.span(1);
    const cut = left + this.at * (right - left);
    this.before.style.clipPath = `inset(0 ${this.box[0] - cut}px 0 0)`;
    Object.assign(this.divider.style, { left: `${cut}px`, top: `${top}px`, height: `${bottom - top}px` });
    this.divider.setAttribute("aria-valuenow", Math.round(100 * this.at));
    this.divider.setAttribute("aria-valuetext", `${Math.round(100 * this.at)} % before`);
    Object.assign(this.tags[0].style, { left: `${left + 12}px`, top: `${top + 12}px` });
    Object.assign(this.tags[1].style, { right: `${this.box[0] - right + 12}px`, top: `${top + 12}px` });
    this.changed();
  }

  /* Where the picture begins and ends in the window, along an axis. */
  span(axis) {
    const start = axis ? this.y : this.x;
    return [Math.max(0, start), Math.min(this.box[axis], start + this.size[axis] * this.scale)];
  }

  resized() {
    if (!this.root.clientWidth) return;
    if (this.wasFitting) this.fit();
    else this.place(this.x, this.y);
  }

  compare(on) {
    this.comparing = on;
    this.at = 0.5;
    for (const part of [this.before, this.divider, ...this.tags]) part.hidden = !on;
    this.root.classList.toggle("comparing", on);
  }

  slideTo(at) {
    this.at = clamp(at, 0, 1);
    this.draw();
  }

  slide(event) {
    const step = event.shiftKey ? 0.1 : 0.02;
    const to = { ArrowLeft: this.at - step, ArrowRight: this.at + step, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.slideTo(to);
  }

  inside(event) {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  pressed(event) {
    if (event.button || event.target.closest("button")) return;
    this.pointer = event.pointerType;
    const sliding = Boolean(event.target.closest(".divider"));
    if (sliding) this.divider.focus({ preventScroll: true });
    this.root.setPointerCapture(event.pointerId);
    const [x, y] = this.inside(event);
    this.fingers.set(event.pointerId, { x, y, startX: x, startY: y, sliding });
    this.root.classList.toggle("held", !this.fits);
    this.alone = this.fingers.size === 1;
  }

  moved(event) {
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return;
    const [x, y] = this.inside(event);
    const [dx, dy] = [x - finger.x, y - finger.y];
    if (finger.sliding) {
      const [left, right] = this.span(0);
      this.slideTo((x - left) / (right - left));
    } else if (this.fingers.size === 2) {
      const other = [...this.fingers.values()].find(one => one !== finger);
      const apart = (px, py) => Math.hypot(px - other.x, py - other.y);
      const factor = apart(x, y) / Math.max(1, apart(finger.x, finger.y));
      this.zoom(this.scale * factor, (x + other.x) / 2, (y + other.y) / 2);
      this.pan(dx / 2, dy / 2);
    } else if (!this.fits) {
      this.pan(dx, dy);
    }
    Object.assign(finger, { x, y });
  }

  released(event) {
    const finger = this.fingers.get(event.pointerId);
    this.fingers.delete(event.pointerId);
    this.root.classList.remove("held");
    if (!finger || finger.sliding || !this.alone || event.type !== "pointerup") return;
    const [across, down] = [finger.x - finger.startX, finger.y - finger.startY];
    const swipe = event.pointerType !== "mouse" && Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down);
    if (swipe && this.fits && !this.comparing) this.swiped(across < 0 ? 1 : -1);
    else if (event.pointerType !== "mouse" && Math.hypot(across, down) < 10) this.tapped(event, finger);
  }

  /* Two taps in a row; not every browser reports them for fingers. */
  tapped(event, finger) {
    const last = this.lastTap;
    this.lastTap = { time: event.timeStamp, x: finger.x, y: finger.y };
    if (last && event.timeStamp - last.time < 350 && Math.hypot(last.x - finger.x, last.y - finger.y) < 30) {
      this.lastTap = null;
      this.toggle(finger.x, finger.y);
    }
  }

  wheeled(event) {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    const strength = event.ctrlKey ? 0.01 : 0.0022;
    this.zoom(this.scale * Math.exp(-event.deltaY * lines * strength), ...this.inside(event));
  }
}
