/** The rater's way through the study: consent, checks, practice, trials, pauses; it can be left and taken up again. */

import { call, Outbox, rater, Refused, trouble } from "/web/outbox.js";
import { Viewer } from "/web/viewer.js";

const card = document.getElementById("card");
const banner = document.getElementById("banner");
const feedback = document.getElementById("feedback");
const study = { trials: [], done: false, stage: null, about: null, current: null, entrance: "/", paused: null,
  shown: new Set(), waiting: false, over: false };

const outbox = new Outbox(onState, onTrouble, onLost);
const viewer = new Viewer(onAnswer);
rater.watch(onOther);

/** Make an element: `make("p", {class: "soft"}, "text", child)`; attributes that are functions are listeners. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function show(...children) {
  viewer.hide();
  card.replaceChildren(...children.flat());
  card.hidden = false;
  scrollTo(0, 0);
  card.querySelector("h1")?.focus();
}

const title = text => make("h1", { tabindex: "-1" }, text);
const text = (...parts) => make("p", {}, ...parts);
const soft = (...parts) => make("p", { class: "soft" }, ...parts);
const key = name => make("kbd", {}, name);
const main = (label, go) => make("button", { type: "button", class: "main", click: go }, label);

function step(number, name) {
  return make("p", { class: "step" }, `Part ${number} of 4`, make("span", {}, name));
}

// ---- the way through ------------------------------------------------------------------------------------------

async function start() {
  study.about = await patiently(() => call("/api/study"));
  document.title = study.about.title;
  const resumed = new URLSearchParams(location.hash.slice(1)).get("resume");
  history.replaceState(null, "", "/");
  const here = rater.get();
  await outbox.send();
  for (const secret of new Set([resumed, here])) {
    if (secret && await isKnown(secret)) return study.done ? thanks() : welcomeBack();
  }
  rater.forget();
  return consent(resumed !== null);
}

/** Whether the server knows a session by this secret, which is then the one of this browser. */
async function isKnown(secret) {
  try {
    const state = await patiently(() => call("/api/state", undefined, secret));
    rater.set(secret);
    take(state);
    return true;
  } catch (error) {
    if (!error.isUnknown) throw error;
    return false;
  }
}

/** Repeat a call until the study answers it. Throws Refused if it says no. */
async function patiently(attempt) {
  for (let wait = 1000; ; wait = Math.min(15000, 2 * wait)) {
    try {
      const found = await attempt();
      onTrouble(null);
      return found;
    } catch (error) {
      if (error instanceof Refused && error.isFinal) throw error;
      onTrouble(`${trouble(error)} Trying again …`);
      await new Promise(resolve => setTimeout(resolve, wait));
    }
  }
}

function take(state) {
  study.trials = state.trials.filter(trial => !outbox.has(trial.token) && !study.shown.has(trial.token));
  study.done = state.done;
  study.entrance = state.entrance ?? study.entrance;
  preload();
}

function preload() {
  for (const trial of study.trials) {
    for (const side of trial.kind === "plate" ? ["original"] : ["original", "a", "b"]) {
      const image = new Image();
      image.src = Viewer.address(trial, side);
    }
  }
}

function onState(state, answered) {
  if (study.over) return;
  take(state);
  if (feedback.dataset.trial === answered) explain(state.feedback);
  else if (study.waiting) next();
}

function onTrouble(message) {
  banner.hidden = !message;
  banner.textContent = message ?? "";
}

/** Two people at one browser: this tab shows no more of the first one's trials; its answers are sent as theirs. */
function onOther() {
  study.over = true;
  study.current = null;
  feedback.close();
  show(title("Somebody else takes part in another tab"),
    text("All answers that were given here stay stored. This tab can only go on with the session of the other one."),
    main("Go on", () => location.reload()));
}

async function onLost(error) {
  if (study.over) return;
  try {
    const state = await patiently(() => call("/api/state"));
    study.current = null;  // not before: a comparison may have been drawn meanwhile
    study.shown.clear();
    take(state);
    next();
  } catch (refusal) {
    if (!refusal.isUnknown) throw refusal;
    rater.forget();
    study.current = null;
    study.over = true;
    show(title("This session is over"), text(error.message), main("Begin again", () => location.reload()));
  }
}

/** Show whatever comes next: a trial, the introduction of a new part, a pause, or the end. */
function next() {
  if (study.over) return undefined;
  const trial = study.trials[0];
  study.waiting = !trial;
  if (!trial) {
    study.current = null;
    if (study.done && !outbox.waiting().length) thanks();
    else if (outbox.waiting().length) show(title("One moment"), text("Your answers are on their way …"));
    return;
  }
  if (study.stage !== trial.kind) return introduce[trial.kind](trial);
  if (trial.pause && study.paused !== trial.token) return pause(trial);
  study.trials.shift();
  study.current = trial;
  study.shown.add(trial.token);
  if (trial.kind === "plate") return plate(trial);
  const entering = !card.hidden;
  card.hidden = true;
  card.replaceChildren();
  const shown = viewer.show(trial, texts(trial));
  if (entering) document.getElementById("question").focus();
  return shown;
}

function enter(stage) {
  study.stage = stage;
  next();
}

function texts(trial) {
  const parts = { practice: "Practice", artefact: "Check", trial: "Comparison" };
  const found = trial.kind === "artefact";
  return {
    question: found ? "Which one is compressed?" : "Which one is closer to the original?",
    progress: `${parts[trial.kind]} ${trial.number} of ${trial.of}`,
    share: (trial.number - 1) / trial.of,
    a: found ? "A is compressed" : "A is closer",
    b: found ? "B is compressed" : "B is closer",
    ties: trial.ties,
  };
}

function onAnswer(choice, milliseconds, view) {
  const trial = study.current;
  if (!trial) return;
  study.current = null;
  if (trial.kind === "practice") feedback.dataset.trial = trial.token;
  outbox.put({ trial: trial.token, choice, milliseconds, view });
  if (trial.kind !== "practice") setTimeout(() => { if (!study.current) next(); }, 180);
}

// ---- the pages ------------------------------------------------------------------------------------------------

function consent(isLost) {
  const about = study.about;
  const agree = make("input", { type: "checkbox", id: "agree" });
  const go = main("Begin", async () => {
    if (!agree.checked) {
      note.textContent = "Please tick the box if you want to take part.";
      agree.focus();
      return;
    }
    go.disabled = true;
    try {
      const state = await patiently(() => call("/api/begin", { consent: true }));
      rater.set(state.rater);
      study.over = false;  // as it is where the answers of an earlier session were lost
      take(state);
      next();
    } catch (error) {
      note.textContent = error.message;
    }
  });
  const note = make("p", { class: "note", role: "alert" });
  const minutes = Math.max(5, Math.round((about.trials * 9 + 150) / 60));
  show(
    isLost ? make("p", { class: "alert", role: "alert" }, "The link belongs to no session here. It may be incomplete, or its "
      + "answers were deleted. You can take part from the beginning.") : "",
    title(about.title),
    text(`You will compare pictures that were compressed in different ways with their originals. It takes about ${minutes} `
      + "minutes. Please do it alone, and trust your eyes: there is no skill to prove."),
    make("h2", {}, "Before you begin"),
    make("ul", {},
      make("li", {}, "Wear the glasses or lenses that you usually wear at a screen."),
      make("li", {}, "Turn off night mode, blue-light filters and forced dark mode. Set the screen bright."),
      make("li", {}, "Sit as you usually do, away from glare. On a phone, turn it sideways."),
      make("li", {}, "Leave the browser's zoom at 100 %.")),
    make("h2", {}, "What is kept"),
    about.consent.length ? about.consent.map(part => text(part)) : text(
      "Your answers, how long each took, and the size of your screen. No name, no address of your device, nothing else "
      + "about you. The results may be published."),
    text("You may stop whenever you like, without a reason. You may also have your answers deleted, until you close "
      + "the last page."),
    make("label", { class: "agree", for: "agree" }, agree,
      make("span", {}, "I have read this, I am 18 or older, and I want to take part.")),
    note,
    go,
    about.simulated ? soft("This study holds simulated raters; people cannot take part.") : "",
  );
}

function welcomeBack() {
  const answered = study.trials[0];
  show(
    title("Welcome back"),
    text("Your answers so far are safe. You go on where you stopped",
      answered?.kind === "trial" ? `: comparison ${answered.number} of ${answered.of}.` : "."),
    main("Go on", () => {
      study.stage = answered?.kind === "trial" ? "trial" : null;
      study.paused = answered?.token;
      next();
    }),
    leaving(),
    somebodyElse("The answers given so far stay stored. Keep the link above if you want to go on with them."),
  );
}

const introduce = {
  plate: trial => show(
    step(1, "Colours"),
    title("Read the figures"),
    text(`You will see ${trial.of} plates made of coloured dots. On each there may be a figure. Press the figure that you `
      + "see, or “I see none”. A first impression is enough."),
    main("Show the first plate", () => enter("plate")),
  ),
  practice: trial => show(
    step(2, "Practice"),
    title("How to compare"),
    text("You see one picture at a time, in the same place: the original, A, or B. Switch between them as often as you "
      + "like, and watch what changes. Then say whether A or B is closer to the original."),
    make("dl", { class: "keys" },
      make("dt", {}, key("←"), " ", key("↑"), " ", key("→")), make("dd", {}, "look at A, the original, B"),
      make("dt", {}, key("S")), make("dd", {}, "slider: A and B side by side, with a line to move"),
      make("dt", {}, key("A"), " ", key("N"), " ", key("B")),
      make("dd", {}, "A is closer, no difference, B is closer")),
    soft(make("span", { class: "keyboard" }, "The buttons do the same. "), "An answer counts once you have looked at all three; it cannot be changed."),
    text(`${trial.of} pairs for practice; you will be told what is right.`),
    main("Practise", () => enter("practice")),
  ),
  artefact: trial => show(
    step(3, "Find the compressed one"),
    title("Now find the compressed one"),
    text(`In each of the next ${trial.of} pairs one picture is the original itself and the other one is compressed. `
      + "Say which one is compressed. Some are plain and some are hard to see; look at edges, skies and fine texture."),
    main("Begin the check", () => enter("artefact")),
  ),
  trial: trial => show(
    step(4, "Comparisons"),
    title("Now the comparisons"),
    text(`${trial.of} pairs of compressed pictures. Which one is `, make("strong", {}, "closer to the original"),
      "? Not which one is prettier."),
    text(trial.ties ? "If you see no difference after a good look, say so. There are pauses."
      : "If you are not sure, follow your impression. There are pauses."),
    main("Begin", () => enter("trial")),
    leaving(),
  ),
};

function plate(trial) {
  const since = performance.now();
  const image = make("img", { class: "plate", alt: "Plate of coloured dots", src: Viewer.address(trial, "original") });
  const answer = choice => {
    if (study.current !== trial) return;
    removeEventListener("keydown", typed);
    onAnswer(choice, Math.round(performance.now() - since), {
      viewport: [innerWidth, innerHeight], ratio: devicePixelRatio, touch: navigator.maxTouchPoints > 0,
    });
  };
  const typed = event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (/^[0-9]$/.test(event.key)) answer(event.key);
    else if (event.key.toLowerCase() === "n") answer("none");
  };
  addEventListener("keydown", typed);
  const pad = make("div", { class: "pad", role: "group", "aria-label": "The figure that you see" });
  for (const figure of "1234567890") {
    pad.append(make("button", { type: "button", click: () => answer(figure) }, figure));
  }
  pad.append(make("button", { type: "button", class: "wide", click: () => answer("none") }, "I see none ", key("N")));
  show(
    make("p", { class: "step" }, `Plate ${trial.number} of ${trial.of}`),
    make("div", { class: "reading" }, image,
      make("div", {}, title("Which figure do you see?"), pad)),
  );
}

function explain(result) {
  if (!result) return next();
  delete feedback.dataset.trial;
  const right = result.expected.toUpperCase();
  const wrong = right === "A" ? "B" : "A";
  document.getElementById("verdict").textContent = result.right ? "Right" : `${right} is closer`;
  document.getElementById("explanation").textContent = `${right} is the original itself, ${wrong} is compressed: it shows `
    + "smooth patches, blocks, or edges that are not in the original. Among the comparisons the differences are smaller, "
    + "and both pictures are compressed.";
  feedback.showModal();
  return undefined;
}

document.getElementById("onwards").addEventListener("click", () => feedback.close());
feedback.addEventListener("close", () => next());

function pause(trial) {
  const share = Math.round(100 * (trial.number - 1) / trial.of);
  show(
    title("Time for a pause"),
    text(`${trial.number - 1} of ${trial.of} comparisons done. Look out of a window for a moment; go on when you like.`),
    make("progress", { max: "100", value: String(share), "aria-label": "Progress" }),
    main("Go on", () => { study.paused = trial.token; next(); }),
    leaving(),
  );
}

/** How to stop, and how to go on later or elsewhere. */
function leaving() {
  const link = new URL(study.entrance, location.href);
  link.hash = `resume=${rater.get()}`;
  const field = make("input", { type: "text", readonly: true, value: link.href, "aria-label": "Your link",
    focus: event => event.target.select() });
  return make("details", { class: "leaving" }, make("summary", {}, "Stop here, or go on another time"),
    text("You may close this page at any time. Open it again in this browser and you go on where you stopped. In another "
      + "browser, use this link; it is yours alone."),
    field, withdrawal());
}

function withdrawal() {
  const ask = make("button", { type: "button", class: "quiet", click: () => ask.replaceWith(sure) }, "Delete my answers");
  const sure = make("div", { class: "sure" }, text("This deletes your session and every answer for good."),
    make("button", { type: "button", class: "danger", click: async () => {
      await patiently(() => call("/api/withdraw", {}));
      rater.forget();
      show(title("Deleted"), text("Your session and all its answers are gone. You may close this page."));
    } }, "Delete them"));
  return ask;
}

function thanks() {
  show(
    title("Thank you"),
    text("That was the last one. All your answers are stored. You may close this page."),
    make("details", { class: "leaving" }, make("summary", {}, "I have changed my mind"), withdrawal()),
    somebodyElse("Your own answers stay stored, but can no longer be deleted from here."),
  );
}

/** People may take turns at one machine. */
function somebodyElse(note) {
  return make("details", { class: "leaving next" }, make("summary", {}, "Somebody else takes part on this device"),
    text(note),
    make("button", { type: "button", class: "quiet", click: () => { rater.forget(); location.reload(); } },
      "Begin as somebody else"));
}

addEventListener("hashchange", () => location.reload());
start().catch(error => show(title("Something went wrong"), text(error.message),
  main("Try again", () => location.reload())));
