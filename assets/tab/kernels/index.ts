export { reserve } from "./memory";
export { energy, magnitude, rank } from "./ranks";
export { merge } from "./merge";
export { IDS, LOGITS, TURNS, read } from "./model";
