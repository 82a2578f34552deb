// The rank of every element of a module: by falling |d|, equal ones by rising hash. An element is inside a
// level that keeps k elements iff its rank is below k.
import { mix, SCRATCH, wide } from "./memory";

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

/**
 * Rank the elements of a module.
 * @param shift Bits by which ranks are shortened to 16 bits: 0 up to 65,536 elements, 1 up to 131,072.
 * @param ranks Receives 16 bits an element.
 * @param odd Receives the bits that were cut off, eight elements a byte; unused with shift 0.
 * @param sums Receives the sum of d² of the ranks before each step, `STEPS` + 1 float64.
 */
export function rank(
  base: usize, tuned: usize, count: i32, seed: u64, shift: i32, ranks: usize, odd: usize, sums: usize,
): void {
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
}

/** |d| of the element of a rank. */
export function magnitude(base: usize, tuned: usize, count: i32, shift: i32, ranks: usize, odd: usize, place: i32): f32 {
  const short = i16x8.splat(<i16>(place >> shift));
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
