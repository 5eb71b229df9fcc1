/** Answers on their way: kept in the browser until the server has them, sent again after a lost connection. */

const RATER = "pico-study-rater";
const QUEUE = "pico-study-answers";
const LONGEST_WAIT = 15000;

export class Refused extends Error {
  /** `said` is the reason that the study gave; nothing if something on the way to it answered in its place. */
  constructor(status, said) {
    super(said ?? `the server answers ${status}`);
    this.status = status;
    this.isUnknown = status === 404 && typeof said === "string";
    this.isFinal = this.isUnknown || (status === 400 && typeof said === "string");
  }
}

let own = null;  // of this tab: in another one somebody else may have begun
try { own = localStorage.getItem(RATER); } catch { /* blocked: said when somebody begins */ }

/** The secret of the session in this tab, which new tabs go on with. */
export const rater = {
  get: () => own,
  set: secret => { own = secret; localStorage.setItem(RATER, secret); },
  forget: () => {
    if (localStorage.getItem(RATER) === own) localStorage.removeItem(RATER);
    own = null;
  },
  /** `onOther()` is told that a session of somebody else was taken up in another tab. */
  watch: onOther => addEventListener("storage", event => {
    if (event.key === RATER && own && event.newValue && event.newValue !== own) onOther();
  }),
};

/** One call of the server, as the rater of this tab or of another secret.
 * Throws Refused if it says no, and TypeError if it cannot be reached. */
export async function call(path, content, secret = own) {
  const headers = { "X-Pico-Study": "1", "X-Pico-Rater": secret ?? "" };
  const options = content === undefined ? { headers } : {
    method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(content),
  };
  const response = await fetch(path, options);
  let found = {};
  try { found = await response.json(); } catch { /* an error page of something in between */ }
  if (!response.ok) throw new Refused(response.status, found?.error);
  return found;
}

/** What a rater is told of a call that is tried again. */
export function trouble(error) {
  if (!(error instanceof Refused) || error.status >= 500) return "No connection to the server.";
  if (error.status === 401) return "Open the whole link again that the organiser of this study sent you.";
  return `The server takes nothing at the moment (${error.message}).`;
}

export class Outbox {
  /** `onState(state, trial)` is told what the server says after each answer of this tab's rater, `onLost(error)` that
   * the study does not take one for good, and `onTrouble(message or null)` how it goes. */
  constructor(onState, onTrouble, onLost) {
    Object.assign(this, { onState, onTrouble, onLost, busy: false, failures: 0, wake: null });
    addEventListener("online", () => this.wake?.());
  }

  /** All answers that wait in this browser; each knows whose it is. */
  all() {
    try { return JSON.parse(localStorage.getItem(QUEUE) ?? "[]"); } catch { return []; }
  }

  keep(answers) {
    if (answers.length) localStorage.setItem(QUEUE, JSON.stringify(answers));
    else localStorage.removeItem(QUEUE);
  }

  /** Those of the rater of this tab. */
  waiting() {
    return this.all().filter(answer => answer.rater === own);
  }

  has(token) {
    return this.waiting().some(answer => answer.trial === token);
  }

  put(answer) {
    if (!this.has(answer.trial)) this.keep([...this.all(), { ...answer, rater: own }]);
    return this.send();
  }

  remove(token) {
    this.keep(this.all().filter(answer => answer.trial !== token));
  }

  /** Send all that waits, in order, for as long as it takes, each answer as the rater who gave it. */
  async send() {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let answer; (answer = this.all()[0]);) {
        const { rater: secret, ...content } = answer;
        try {
          const state = await call("/api/answer", content, secret);
          this.remove(answer.trial);
          this.failures = 0;
          this.onTrouble(null);
          if (secret === own) this.onState(state, answer.trial);
        } catch (error) {
          if (error instanceof Refused && error.isFinal) {
            this.remove(answer.trial);
            if (secret === own) await this.onLost(error);
          } else {
            await this.rest(error);
          }
        }
      }
    } finally {
      this.busy = false;
    }
  }

  async rest(error) {
    this.failures += 1;
    const many = this.all().length;
    const kept = many === 1 ? "Your last answer is" : `Your last ${many} answers are`;
    this.onTrouble(`${trouble(error)} ${kept} kept on this device and will be sent.`);
    const wait = Math.min(LONGEST_WAIT, 500 * 2 ** this.failures);
    await new Promise(resolve => { this.wake = resolve; setTimeout(resolve, wait); });
    this.wake = null;
  }
}
