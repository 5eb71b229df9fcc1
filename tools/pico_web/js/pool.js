/* Workers that decode tiles side by side, those that somebody looks at first.

   Every worker has a WebAssembly memory of its own, since shared memory needs headers that a disk or a plain host does
   not send. */

import { PicoError } from "./errors.js";
import { work } from "./tile_worker.js";

const LONGEST_MS = 120_000; // that a tile may take before its worker is given up; a slow phone needs seconds
const MOST_WORKERS = 8; // each takes some 60 MB

/* `assets` has makeWorker(), a new Worker; module(), a promise of a WebAssembly.Module; weights(id), a promise of the
   bytes of a weights file, or null where there are none of this id. */
export class Pool {
  constructor(assets, size = navigator.hardwareConcurrency || 2) {
    this.assets = assets;
    this.size = Math.max(1, Math.min(size, MOST_WORKERS));
    this.workers = [];
    this.queue = [];
    this.known = new Map(); // model id -> promise of { module, modelId, weights }
  }

  /* Start the workers before there is anything to do. */
  warm(modelId) {
    if (modelId) this.ready(modelId).catch(() => {});
    this.serve();
    while (this.workers.length < this.size) this.hire();
  }

  /* The pixels of a tile. `tile` is what TileDecoder takes, but for the payloads: payloads() brings these. The job with
     the lowest rank() goes first. */
  decode(tile, { payloads, rank, signal }) {
    return new Promise((resolve, reject) => {
      const job = { tile, payloads, rank, signal, resolve, reject };
      this.queue.push(job);
      signal?.addEventListener("abort", () => {
        if (this.queue.includes(job)) this.queue.splice(this.queue.indexOf(job), 1);
        reject(signal.reason);
      }, { once: true });
      this.serve();
    });
  }

  /* The module and the weights; PicoError where there are no such weights. */
  ready(modelId) {
    if (!this.known.has(modelId)) {
      const both = Promise.all([this.assets.module(), this.assets.weights(modelId)]).then(([module, weights]) => {
        if (!weights) {
          throw new PicoError("UnknownModelError",
            `the picture was made with weights ${modelId}, which this page does not have; a newer page may`);
        }
        return { module, modelId, weights };
      });
      both.catch(() => this.known.delete(modelId)); // the network may be back
      this.known.set(modelId, both);
    }
    return this.known.get(modelId);
  }

  hire() {
    const worker = { has: new Set(), job: null, number: 0 };
    this.workers.push(worker);
    try {
      worker.port = this.assets.makeWorker();
    } catch {
      worker.port = new InThisThread();
    }
    this.listen(worker);
    return worker;
  }

  listen(worker) {
    worker.port.onmessage = ({ data }) => {
      worker.isReady = true;
      if (data.job !== undefined && data.job === worker.number && worker.job) this.finish(worker, data);
    };
    worker.port.onerror = event => {
      event.preventDefault?.();
      this.replace(worker, worker.isReady ? "the decoder stopped" : null);
    };
  }

  /* Another worker for one that failed; one that never started is done without. */
  replace(worker, why) {
    worker.port.terminate();
    const { job } = worker;
    if (why) {
      this.workers.splice(this.workers.indexOf(worker), 1);
      clearTimeout(worker.timer);
      job?.reject(new PicoError("EngineError", why));
    } else {
      worker.port = new InThisThread();
      worker.has.clear();
      this.listen(worker);
      if (job) this.post(worker, job);
    }
    this.serve();
  }

  serve() {
    while (this.queue.length) {
      const worker = this.workers.find(one => !one.job) ?? (this.workers.length < this.size ? this.hire() : null);
      if (!worker) return;
      const ranks = this.queue.map(job => job.rank());
      const [job] = this.queue.splice(ranks.indexOf(Math.min(...ranks)), 1);
      worker.job = job;
      worker.number += 1;
      this.start(worker, job);
    }
  }

  async start(worker, job) {
    try {
      await job.payloads(job.tile);
      if (job.tile.modelId) job.weights = await this.ready(job.tile.modelId);
      if (job.signal?.aborted) throw job.signal.reason;
      if (worker.job === job) this.post(worker, job);
    } catch (error) {
      this.release(worker);
      job.reject(error);
    }
  }

  post(worker, job) {
    if (job.weights && !worker.has.has(job.tile.modelId)) {
      worker.has.add(job.tile.modelId);
      worker.port.postMessage(job.weights);
    }
    worker.timer = setTimeout(() => this.replace(worker, "a tile took too long; the file may be made to do so"), LONGEST_MS);
    worker.port.postMessage({ job: worker.number, tile: job.tile });
  }

  finish(worker, { pixels, error }) {
    const { job } = worker;
    this.release(worker);
    if (error) job.reject(new PicoError(error.kind, error.message));
    else job.resolve(pixels);
  }

  /* Let a worker use the memory of pixels again. A garbage collector would let a hundred megabytes gather first. */
  recycle(pixels) {
    const free = this.workers.find(one => !one.job) ?? this.workers[this.recycled = ((this.recycled ?? 0) + 1) % this.workers.length];
    free?.port.postMessage({ recycled: pixels.buffer }, [pixels.buffer]);
  }

  release(worker) {
    clearTimeout(worker.timer);
    worker.job = null;
    queueMicrotask(() => this.serve());
  }

  close() {
    for (const worker of this.workers) worker.port.terminate();
    this.workers = [];
  }
}

/* Takes the place of a worker where the browser starts none. */
class InThisThread {
  constructor() {
    this.scope = { postMessage: data => setTimeout(() => this.onmessage?.({ data })) };
    work(this.scope);
  }

  postMessage(data) { this.scope.onmessage({ data }); }

  terminate() {}
}
