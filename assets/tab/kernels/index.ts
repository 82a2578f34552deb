export { reserve } from "./memory";
export { sha256 } from "./hash";
export { rank } from "./ranks";
export { merge } from "./merge";
export { places, read } from "./model";
