/** The comparison: three pictures in one place, seen one at a time or with a slider, at whole device pixels. */

const SIDES = ["original", "a", "b"];
const NAMES = { original: "Original", a: "A", b: "B", split: "" };
const element = id => document.getElementById(id);

export class Viewer {
  /** `onAnswer(choice, milliseconds, view)` is called once for each trial. */
  constructor(onAnswer) {
    this.onAnswer = onAnswer;
    this.root = element("viewer");
    this.stage = element("stage");
    this.frame = element("frame");
    this.images = Object.fromEntries(SIDES.map(side => [side, element(side)]));
    this.range = document.querySelector("#slider input");
    this.trial = null;
    this.ready = false;
    for (const button of this.root.querySelectorAll("[data-look]")) {
      button.addEventListener("click", () => this.look(button.dataset.look));
    }
    for (const button of this.root.querySelectorAll("[data-choice]")) {
      button.addEventListener("click", () => this.answer(button.dataset.choice));
    }
    this.range.addEventListener("input", () => this.split(Number(this.range.value)));
    this.frame.addEventListener("pointermove", event => this.drag(event));
    document.addEventListener("keydown", event => this.key(event));
    addEventListener("resize", () => this.fit());
  }

  /** Address of one picture of a trial. */
  static address(trial, side) {
    return `/picture/${trial.token}/${side === "original" ? "reference" : side}`;
  }

  /** Show a trial: `texts` has question, progress, and what the answers are called. */
  async show(trial, texts) {
    this.trial = trial;
    this.ready = false;
    this.seen = { original: 0, a: 0, b: 0 };
    this.looks = { original: 0, a: 0, b: 0, split: 0 };
    this.switches = 0;
    this.times = {};
    this.mode = null;
    this.panned = false;
    this.root.hidden = false;
    document.body.classList.add("grey");
    element("question").textContent = texts.question;
    element("count").textContent = texts.progress;
    element("bar").value = texts.share;
    for (const side of ["a", "b"]) {
      this.root.querySelector(`[data-choice="${side}"] b`).textContent = texts[side];
    }
    this.root.querySelector('[data-choice="same"]').hidden = !texts.ties;
    element("hint").textContent = "";
    element("loading").hidden = false;
    this.frame.classList.add("empty");
    this.enable();
    this.fit();
    await this.load(trial);
    if (this.trial !== trial) return;
    element("loading").hidden = true;
    this.frame.classList.remove("empty");
    this.ready = true;
    this.since = performance.now();
    this.stage.scrollTo((this.frame.offsetWidth - this.stage.clientWidth) / 2,
      (this.frame.offsetHeight - this.stage.clientHeight) / 2);
    this.panned = false;
    this.look("original", true);
  }

  /** Load and decode the three pictures; keeps trying while the connection is gone. */
  async load(trial) {
    for (let attempt = 0; this.trial === trial; attempt += 1) {
      const retry = attempt ? `?try=${attempt}` : "";
      for (const side of SIDES) this.images[side].src = Viewer.address(trial, side) + retry;
      try {
        await Promise.all(SIDES.map(side => this.images[side].decode()));
        return;
      } catch {
        await new Promise(resolve => setTimeout(resolve, Math.min(8000, 500 * 2 ** attempt)));
      }
    }
  }

  hide() {
    this.trial = null;
    this.ready = false;
    this.root.hidden = true;
    document.body.classList.remove("grey");
  }

  /** One picture pixel is a whole number of device pixels: as near to a CSS pixel as fits, but not under half of one. */
  fit() {
    if (!this.trial) return;
    const ratio = devicePixelRatio;
    const { width, height } = this.trial;
    const most = Math.max(1, Math.round(ratio));
    const least = Math.max(1, Math.ceil(ratio / 2 - 0.01));
    let scale = Math.max(most, least);
    const fits = by => width * by / ratio <= this.stage.clientWidth + 0.5
      && height * by / ratio <= this.stage.clientHeight + 0.5;
    while (scale > least && !fits(scale)) scale -= 1;
    this.scale = scale;
    this.frame.style.width = `${width * scale / ratio}px`;
    this.frame.style.height = `${height * scale / ratio}px`;
    this.stage.classList.toggle("pans", !fits(scale));
    // The frame begins on a whole device pixel, or every picture pixel would be smeared over two; on a whole CSS
    // pixel too where one is near, because browsers differ in which of them they round to. No transform: it smears.
    this.frame.style.left = this.frame.style.top = "0px";
    const box = this.frame.getBoundingClientRect();
    const whole = value => Math.abs(value - Math.round(value)) < 0.01;
    const off = edge => {
      for (let at = Math.floor(edge); at > edge - 12; at -= 1) if (whole(at * ratio)) return at - edge;
      return (Math.round(edge * ratio) - edge * ratio) / ratio;
    };
    this.frame.style.left = `${off(box.left)}px`;
    this.frame.style.top = `${off(box.top)}px`;
  }

  look(mode, first = false) {
    if (!this.ready || this.mode === mode) return;
    this.settle();
    this.mode = mode;
    this.shownAt = performance.now();
    if (!first) this.switches += 1;
    this.looks[mode] += 1;
    for (const side of mode === "split" ? ["a", "b"] : [mode]) this.seen[side] += 1;
    this.frame.dataset.mode = mode;
    for (const button of this.root.querySelectorAll("[data-look]")) {
      button.setAttribute("aria-pressed", String(button.dataset.look === mode));
    }
    element("divider").hidden = element("slider").hidden = mode !== "split";
    const more = this.stage.classList.contains("pans") && mode !== "split" ? " (drag to see the rest)" : "";
    element("shown").textContent = NAMES[mode] + more;
    if (mode === "split") this.split(50);
    this.enable();
  }

  settle() {
    if (this.mode) this.times[this.mode] = (this.times[this.mode] ?? 0) + performance.now() - this.shownAt;
  }

  split(percent) {
    this.range.value = String(percent);
    this.frame.style.setProperty("--at", `${percent}%`);
  }

  drag(event) {
    const pans = this.stage.classList.contains("pans");
    if (pans && event.pointerType === "mouse" && event.buttons === 1 && this.mode !== "split") {
      this.stage.scrollBy(-event.movementX, -event.movementY);
    }
    if (this.mode !== "split" || (event.pointerType !== "mouse" && pans)) return;
    const box = this.frame.getBoundingClientRect();
    this.split(Math.max(0, Math.min(100, 100 * (event.clientX - box.left) / box.width)));
  }

  allSeen() {
    return this.ready && SIDES.every(side => this.seen[side] > 0);
  }

  enable() {
    const enabled = this.allSeen();
    for (const button of this.root.querySelectorAll("[data-choice]")) {
      button.setAttribute("aria-disabled", String(!enabled));
    }
    if (enabled) element("hint").textContent = "";
  }

  key(event) {
    if (!this.trial || event.ctrlKey || event.metaKey || event.altKey || element("feedback").open) return;
    const pan = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] }[event.key];
    if (event.shiftKey && pan) {
      this.stage.scrollBy(...pan);
      event.preventDefault();
      return;
    }
    if (event.shiftKey || event.target === this.range) return;
    const mode = { ArrowLeft: "a", ArrowUp: "original", ArrowDown: "original", ArrowRight: "b", s: "split" }[event.key];
    const choice = { a: "a", b: "b", n: "same" }[event.key.toLowerCase()];
    if (mode) this.look(mode);
    else if (choice && !event.repeat) this.answer(choice);
    else return;
    event.preventDefault();
  }

  answer(choice) {
    const button = this.root.querySelector(`[data-choice="${choice}"]`);
    if (!this.ready || button.hidden) return;
    if (!this.allSeen()) {
      const names = SIDES.filter(side => !this.seen[side]).map(side => NAMES[side]);
      element("hint").textContent = `Look at ${names.join(" and ")} first.`;
      return;
    }
    const milliseconds = Math.round(performance.now() - this.since);
    this.settle();
    const times = Object.fromEntries(Object.entries(this.times).map(([mode, time]) => [mode, Math.round(time)]));
    this.ready = false;
    this.trial = null;
    this.frame.classList.add("empty");
    this.onAnswer(choice, milliseconds, {
      viewport: [innerWidth, innerHeight], screen: [screen.width, screen.height], ratio: devicePixelRatio,
      scale: this.scale, panned: this.stage.classList.contains("pans"), mode: this.looks.split ? "slider" : "flip",
      looks: times, switches: this.switches, touch: navigator.maxTouchPoints > 0,
      orientation: innerWidth > innerHeight ? "landscape" : "portrait",
    });
  }
}
