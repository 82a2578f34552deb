export { reserve } from "./memory";
export { rank } from "./ranks";
export { merge } from "./merge";
export { places, read } from "./model";
