import { work } from "./tile_worker.js";

work(self);
