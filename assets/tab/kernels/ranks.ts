// The rank of every element of a module: by falling |d|, equal ones by rising hash. An element is inside a
// level that keeps k elements iff its rank is below k.
import { mix, reserve, SCRATCH, wide } from "./memory";

/** Steps in which the sum of d² over the ranks is kept. */
const STEPS: i32 = 1024;

const MOST: i32 = 1 << 17, BUCKETS: i32 = 1 << 11;
const HASHES = SCRATCH, KEYS = HASHES + 8 * MOST, FIRST = KEYS + 4 * MOST, SECOND = FIRST + 4 * MOST;
const COUNTS = SECOND + 4 * MOST;

/** Eleven bits of an element's key: the upper half of its hash, then |d|, its bits turned round. */
@inline
function digit(element: u32, pass: i32): i32 {
  const key = pass < 3 ? load<u32>(HASHES + 8 * element, 4) : load<u32>(KEYS + 4 * element);
  return <i32>(key >> (11 * (pass % 3))) & (BUCKETS - 1);
}

/** One stable pass of a radix sort of element numbers. */
function pass(from: usize, to: usize, count: i32, place: i32): void {
  memory.fill(COUNTS, 0, 4 * BUCKETS);
  for (let i = 0; i < count; i++) {
    const at = COUNTS + 4 * digit(i, place);
    store<u32>(at, load<u32>(at) + 1);
  }
  for (let b = 0, before = 0; b < BUCKETS; b++) {
    const here = load<u32>(COUNTS + 4 * b);
    store<u32>(COUNTS + 4 * b, before);
    before += here;
  }
  for (let i = 0; i < count; i++) {
    const element = load<u32>(from + 4 * i), at = COUNTS + 4 * digit(element, place), next = load<u32>(at);
    store<u32>(to + 4 * next, element);
    store<u32>(at, next + 1);
  }
}

/** Whether two neighbours of the sorted order differ only in the lower halves of their hashes, and are swapped. */
@inline
function swapped(before: u32, after: u32): bool {
  return load<u32>(KEYS + 4 * before) == load<u32>(KEYS + 4 * after)
    && load<u64>(HASHES + 8 * before) > load<u64>(HASHES + 8 * after);
}

/** Bits by which a rank is shortened to 16. */
@inline
function shiftOf(count: i32): i32 {
  return count > 1 << 16 ? 1 : 0;
}
/** Where sums of d² lie, behind ranks and the bits that were cut off. */
@inline
function sumsOf(ranks: usize, count: i32): usize {
  return ranks + 2 * count + ((shiftOf(count) * count) >> 3);
}

/**
 * Rank the elements of a module, at most 131,072.
 * @returns The address of 16 bits an element; then come the bits that were cut off, eight elements a byte; then the sum
 *   of d² of the ranks before each step, `STEPS` + 1 float64.
 */
export function rank(base: usize, tuned: usize, count: i32, seed: u64): usize {
  const ranks = reserve(<i32>sumsOf(0, count) + 8 * (STEPS + 1)), odd = ranks + 2 * count, shift = shiftOf(count);
  const sums = sumsOf(ranks, count);
  for (let i = 0; i < count; i++) {
    const size = reinterpret<u32>(wide(tuned + 2 * i) - wide(base + 2 * i)) & 0x7fffffff;
    store<u32>(KEYS + 4 * i, ~size);
    store<u64>(HASHES + 8 * i, mix(<u64>i + seed));
    store<u32>(FIRST + 4 * i, i);
  }
  for (let place = 0; place < 6; place += 2) {
    pass(FIRST, SECOND, count, place);
    pass(SECOND, FIRST, count, place + 1);
  }
  for (let i = 1; i < count; i++) {
    const element = load<u32>(FIRST + 4 * i);
    let j = i;
    for (; j > 0 && swapped(load<u32>(FIRST + 4 * (j - 1)), element); j--)
      store<u32>(FIRST + 4 * j, load<u32>(FIRST + 4 * (j - 1)));
    store<u32>(FIRST + 4 * j, element);
  }
  if (shift) memory.fill(odd, 0, count >> 3);
  let total: f64 = 0;
  for (let i = 0; i < count; i++) {
    const element = load<u32>(FIRST + 4 * i), size = <f64>reinterpret<f32>(~load<u32>(KEYS + 4 * element));
    if (i % (count / STEPS) == 0) store<f64>(sums + 8 * (i / (count / STEPS)), total);
    total += size * size;
    store<u16>(ranks + 2 * element, <u16>(i >> shift));
    const byte = odd + (element >> 3);
    if (shift & i) store<u8>(byte, load<u8>(byte) | <u8>(<u32>1 << (element & 7)));
  }
  store<f64>(sums + 8 * STEPS, total);
  return ranks;
}

/** The sum of d² of the `kept` first ranks; a straight line between two steps. */
export function energy(ranks: usize, count: i32, kept: i32): f64 {
  const step = <f64>kept * STEPS / count, low = min(<i32>step, STEPS - 1), at = sumsOf(ranks, count) + 8 * low;
  return load<f64>(at) + (step - low) * (load<f64>(at, 8) - load<f64>(at));
}

/** |d| of the element of a rank. */
export function magnitude(base: usize, tuned: usize, count: i32, ranks: usize, place: i32): f32 {
  const shift = shiftOf(count), odd = ranks + 2 * count, short = i16x8.splat(<i16>(place >> shift));
  for (let i = 0; i < count; i += 8) {
    const equal = i16x8.bitmask(i16x8.eq(v128.load(ranks + 2 * i), short));
    if (!equal) continue;
    for (let lane = 0; lane < 8; lane++) {
      const last = shift ? (load<u8>(odd + (i >> 3)) >> <u8>lane) & 1 : 0;
      const at = 2 * (i + lane);
      if ((equal >> lane) & 1 && last == (place & shift)) return abs(wide(tuned + at) - wide(base + at));
    }
  }
  return 0;
}
