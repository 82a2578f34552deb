// One merged tensor: the base plus every model's treated delta, each operation rounded to float32, the sum
// rounded to bfloat16 (nearest, ties to even).
import { mix, reserve, wide } from "./memory";

/** Kinds of a treatment, and the bytes of one in the list that `merge` reads; assets/js/tab/memory.js writes it. */
const WHOLE: u32 = 0, BANDS: u32 = 1;
const TREATMENT: usize = 1024, BAND: usize = 16, AT_BANDS: usize = 48;
const BLOCK: i32 = 2048, SUMS: usize = reserve(4 * BLOCK);

/** The first four, and the last four, of eight bfloat16 as float32; of eight masks, if they lie below, too. */
@inline
function low(halves: v128, below: v128 = i16x8.splat(0)): v128 {
  return v128.shuffle<i16>(below, halves, 0, 8, 1, 9, 2, 10, 3, 11);
}
@inline
function high(halves: v128, below: v128 = i16x8.splat(0)): v128 {
  return v128.shuffle<i16>(below, halves, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Add a product; where the mask is 0, so is the weight, and -0 is added: it changes nothing, not even a base of -0. */
@inline
function add(at: usize, delta: v128, weight: v128, inside: v128): void {
  const outside = v128.andnot(f32x4.splat(-0.0), inside);
  v128.store(at, f32x4.add(v128.load(at), v128.or(f32x4.mul(weight, delta), outside)));
}

/** The element of rank 2 place is inside, that of rank 2 place + 1 is not: `odd` has the bits of eight. */
function first(equal: v128, odd: u8): v128 {
  const bits = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  return v128.andnot(equal, i16x8.eq(v128.and(i16x8.splat(odd), bits), bits));
}

/** Elements inside a band, a mask of eight. @param isRare Whether the band may be empty or split a pair. */
@inline
function within(band: usize, last: v128, ranks: v128, odd: usize, isRare: bool): v128 {
  const mask = i16x8.le_u(ranks, last);
  if (!isRare) return mask;
  const equal = v128.and(i16x8.eq(ranks, v128.load16_splat(band, 4)), v128.load16_splat(band, 6));
  const those = v128.and(mask, v128.load16_splat(band, 2));
  return v128.any_true(equal) ? v128.or(those, first(equal, load<u8>(odd))) : those;
}

/** The bits in which a band's weight differs from the next weaker one's. */
@inline
function change(band: usize): v128 {
  return v128.xor(v128.load32_splat(band, 8), v128.load32_splat(band, BAND + 8));
}

function addBands(base: usize, tuned: usize, count: i32, treatment: usize, start: i32): void {
  const ranks: usize = load<u32>(treatment, 8) + 2 * start, odd: usize = load<u32>(treatment, 12) + (start >> 3);
  const isRare = load<u32>(treatment, 20) != 0;
  const first = treatment + AT_BANDS, last = first + BAND * (load<u32>(treatment, 16) - 1);
  const outermost = v128.load16_splat(last), weight = v128.load32_splat(last, 8);
  for (let i = 0; i < count; i += 8) {
    const ranked = v128.load(ranks + 2 * i), lasts = odd + (i >> 3);
    const all = within(last, outermost, ranked, lasts, isRare), allLow = low(all, all), allHigh = high(all, all);
    let left = v128.and(weight, allLow), right = v128.and(weight, allHigh);
    for (let band = last - BAND; band >= first; band -= BAND) { // a stronger band's weight replaces the weaker's
      const inner = within(band, v128.load16_splat(band), ranked, lasts, isRare), bits = change(band);
      left = v128.xor(left, v128.and(bits, low(inner, inner)));
      right = v128.xor(right, v128.and(bits, high(inner, inner)));
    }
    const a = v128.load(base + 2 * i), b = v128.load(tuned + 2 * i);
    add(SUMS + 4 * i, f32x4.sub(low(b), low(a)), left, allLow);
    add(SUMS + 4 * i + 16, f32x4.sub(high(b), high(a)), right, allHigh);
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
 *   odd bits, number of bands, whether one is empty or splits a pair (32 bits each); seed and cut of random draws (64
 *   bits); weight; then the bands, the strongest first, `BAND` bytes each: last rank inside, whether any is, place of a
 *   split pair, whether there is one (16 bits each), weight.
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
