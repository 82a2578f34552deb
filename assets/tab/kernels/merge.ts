// One merged tensor: the base plus every model's treated delta, each operation rounded to float32, the sum
// rounded to bfloat16 (nearest, ties to even).
import { mix, reserve, wide } from "./memory";

/** Kinds of a treatment, and the bytes of one in the list that `merge` reads; assets/js/tab/memory.js writes it. */
const WHOLE: u32 = 0, BANDS: u32 = 1;
const TREATMENT: usize = 1024, BAND: usize = 16, AT_BANDS: usize = 48;
const BLOCK: i32 = 2048, SUMS: usize = reserve(4 * BLOCK), PATCH: usize = reserve(16);

@inline
function low(halves: v128): v128 {
  return i32x4.shl(i32x4.extend_low_i16x8_u(halves), 16);
}
@inline
function high(halves: v128): v128 {
  return i32x4.shl(i32x4.extend_high_i16x8_u(halves), 16);
}

/** Add a product; what is dropped adds -0, which changes nothing, not even a base of -0. */
@inline
function add(at: usize, delta: v128, weight: v128, inside: v128): void {
  const product = v128.bitselect(f32x4.mul(weight, delta), f32x4.splat(-0.0), inside);
  v128.store(at, f32x4.add(v128.load(at), product));
}

/** The element of rank 2 place is inside, that of rank 2 place + 1 is not: `odd` has the bits of eight. */
function first(equal: v128, odd: u32): v128 {
  v128.store(PATCH, equal);
  for (let lane = 0; lane < 8; lane++) if ((odd >> lane) & 1) store<u16>(PATCH + 2 * lane, 0);
  return v128.load(PATCH);
}

/** Elements inside one band, a mask of eight. */
@inline
function within(band: usize, ranks: v128, odd: usize): v128 {
  const mask = v128.and(i16x8.le_u(ranks, v128.load16_splat(band)), v128.load16_splat(band, 2));
  const equal = v128.and(i16x8.eq(ranks, v128.load16_splat(band, 4)), v128.load16_splat(band, 6));
  return v128.any_true(equal) ? v128.or(mask, first(equal, load<u8>(odd))) : mask;
}

function addBands(base: usize, tuned: usize, count: i32, treatment: usize, start: i32): void {
  const ranks: usize = load<u32>(treatment, 8) + 2 * start, odd: usize = load<u32>(treatment, 12) + (start >> 3);
  const first = treatment + AT_BANDS, last = first + BAND * (load<u32>(treatment, 16) - 1);
  for (let i = 0; i < count; i += 8) {
    const ranked = v128.load(ranks + 2 * i), a = v128.load(base + 2 * i), b = v128.load(tuned + 2 * i);
    const outer = within(last, ranked, odd + (i >> 3));
    let left = v128.load32_splat(last, 8), right = left;
    for (let band = last - BAND; band >= first; band -= BAND) { // a stronger band's weight replaces the weaker's
      const inner = within(band, ranked, odd + (i >> 3)), weight = v128.load32_splat(band, 8);
      left = v128.bitselect(weight, left, i32x4.extend_low_i16x8_s(inner));
      right = v128.bitselect(weight, right, i32x4.extend_high_i16x8_s(inner));
    }
    add(SUMS + 4 * i, f32x4.sub(low(b), low(a)), left, i32x4.extend_low_i16x8_s(outer));
    add(SUMS + 4 * i + 16, f32x4.sub(high(b), high(a)), right, i32x4.extend_high_i16x8_s(outer));
  }
}

function addWhole(base: usize, tuned: usize, count: i32, weight: v128): void {
  const every = i32x4.splat(-1);
  for (let i = 0; i < count; i += 8) {
    const a = v128.load(base + 2 * i), b = v128.load(tuned + 2 * i);
    add(SUMS + 4 * i, f32x4.sub(low(b), low(a)), weight, every);
    add(SUMS + 4 * i + 16, f32x4.sub(high(b), high(a)), weight, every);
  }
}

function addDrawn(base: usize, tuned: usize, count: i32, treatment: usize, start: i32): void {
  const seed = load<u64>(treatment, 24), cut = load<u64>(treatment, 32), weight = load<f32>(treatment, 40);
  for (let i = 0; i < count; i++) {
    if (mix(<u64>(start + i) + seed) >= cut) continue;
    const delta = wide(tuned + 2 * i) - wide(base + 2 * i);
    store<f32>(SUMS + 4 * i, load<f32>(SUMS + 4 * i) + weight * delta);
  }
}

/** float32 as bfloat16 in the upper half of each word. */
@inline
function rounded(bits: v128): v128 {
  const tie = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  return i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), tie);
}

/**
 * Merge one tensor.
 * @param count Elements, a multiple of 8.
 * @param treatments A list, `TREATMENT` bytes each: address of the model's tensor, kind, address of ranks, of their
 *   odd bits, number of bands (32 bits each); 0; seed and cut of random draws (64 bits); weight; then the bands, the
 *   strongest first, `BAND` bytes each: last rank inside, whether any is, place of a split pair, whether there is one
 *   (16 bits each), weight.
 */
export function merge(base: usize, out: usize, count: i32, treatments: usize, models: i32): void {
  for (let start = 0; start < count; start += BLOCK) {
    const size = min(count - start, BLOCK), from = base + 2 * start;
    for (let i = 0; i < size; i += 8) {
      const halves = v128.load(from + 2 * i);
      v128.store(SUMS + 4 * i, low(halves));
      v128.store(SUMS + 4 * i, high(halves), 16);
    }
    for (let m = 0; m < models; m++) {
      const treatment = treatments + TREATMENT * m, tuned: usize = load<u32>(treatment) + 2 * start;
      const kind = load<u32>(treatment, 4);
      if (kind == WHOLE) addWhole(from, tuned, size, v128.load32_splat(treatment, 40));
      else if (kind == BANDS) addBands(from, tuned, size, treatment, start);
      else addDrawn(from, tuned, size, treatment, start);
    }
    for (let i = 0; i < size; i += 8) {
      const left = rounded(v128.load(SUMS + 4 * i)), right = rounded(v128.load(SUMS + 4 * i, 16));
      v128.store(out + 2 * (start + i), v128.shuffle<u16>(left, right, 1, 3, 5, 7, 9, 11, 13, 15));
    }
  }
}
