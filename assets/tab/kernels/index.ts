export { reserve } from "./memory";
export { magnitude, rank } from "./ranks";
export { merge } from "./merge";
export { places, read } from "./model";
