// The forward pass of the embedded models (Llama) on bfloat16 weights, in float32.
import { reserve, SCRATCH, wide } from "./memory";

const HIDDEN: i32 = 256, HEADS: i32 = 4, SIZE: i32 = 64, INNER: i32 = 512, LAYERS: i32 = 6, VOCABULARY: i32 = 1024;
const POSITIONS: i32 = 512, EPS: f32 = 1e-6;
/** Tokens that are read at once. */
const PIECE: i32 = 16;
/** Places of a layer's tensors, in bytes. Tensors lie in the order of their names: embedding, layers, last norm. */
const SQUARE: i32 = 2 * HIDDEN * HIDDEN, OBLONG: i32 = 2 * HIDDEN * INNER, EMBEDDING: i32 = 2 * HIDDEN * VOCABULARY;
const NORM: i32 = 0, DOWN: i32 = 2 * HIDDEN, GATE: i32 = DOWN + OBLONG, UP: i32 = GATE + OBLONG;
const SECOND_NORM: i32 = UP + OBLONG, K: i32 = SECOND_NORM + 2 * HIDDEN, O: i32 = K + SQUARE, Q: i32 = O + SQUARE;
const V: i32 = Q + SQUARE, OF_LAYER: i32 = V + SQUARE;

const ROW: i32 = 4 * HIDDEN, WIDE_ROW: i32 = 4 * INNER, LOGITS_ROW: i32 = 4 * VOCABULARY;
const KEYS = SCRATCH, VALUES = KEYS + LAYERS * POSITIONS * ROW;
const X: usize = reserve(PIECE * ROW), NORMED: usize = reserve(PIECE * ROW), QUERIES: usize = reserve(PIECE * ROW);
const GATES: usize = reserve(PIECE * WIDE_ROW), UPS: usize = reserve(PIECE * WIDE_ROW);
const SCORES: usize = reserve(4 * POSITIONS);
/** Where the page writes token numbers, and cosines, then sines, of each position's angles, 32 each; and reads logits. */
export const IDS: usize = reserve(4 * PIECE), TURNS: usize = reserve(POSITIONS * 4 * SIZE);
export const LOGITS: usize = reserve(PIECE * LOGITS_ROW);

@inline
function sum(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3);
}
/** The even, and the odd, of eight bfloat16. */
@inline
function even(halves: v128): v128 {
  return i32x4.shl(halves, 16);
}
@inline
function odd(halves: v128): v128 {
  return v128.and(halves, i32x4.splat(0xffff0000));
}
/** e to the x, for x from -87 to 88. */
function exp(x: v128): v128 {
  x = f32x4.max(x, f32x4.splat(-87));
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))), f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.mul(f32x4.mul(p, r), r), f32x4.add(r, f32x4.splat(1)));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}

/** Inputs of products: of every eight, the even ones before the odd ones, as weights come apart. */
function split(x: usize, bytes: i32): void {
  for (let i = 0; i < bytes; i += 32) {
    const a = v128.load(x + i), b = v128.load(x + i, 16);
    v128.store(x + i, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(x + i, v128.shuffle<f32>(a, b, 1, 3, 5, 7), 16);
  }
}

/** The root mean square of a row made one, times a weight; ready for a product. */
function norm(x: usize, weight: usize, out: usize): void {
  let total = f32x4.splat(0);
  for (let i = 0; i < ROW; i += 16) {
    const v = v128.load(x + i);
    total = f32x4.add(total, f32x4.mul(v, v));
  }
  const factor = f32x4.splat(1 / sqrt<f32>(sum(total) / <f32>HIDDEN + EPS));
  for (let i = 0; i < ROW; i += 32) {
    const w = v128.load(weight + (i >> 1)), a = v128.load(x + i), b = v128.load(x + i, 16);
    v128.store(out + i, f32x4.mul(f32x4.mul(v128.shuffle<f32>(a, b, 0, 2, 4, 6), factor), even(w)));
    v128.store(out + i, f32x4.mul(f32x4.mul(v128.shuffle<f32>(a, b, 1, 3, 5, 7), factor), odd(w)), 16);
  }
}

@inline
function put(at: usize, value: f32, adds: bool): void {
  store<f32>(at, adds ? load<f32>(at) + value : value);
}

/** Four rows of a matrix times one input. */
function fourRows(w: usize, x: usize, bytes: i32, out: usize, adds: bool): void {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const last = w + bytes;
  for (; w < last; w += 16, x += 32) {
    const left = v128.load(x), right = v128.load(x, 16);
    const p = v128.load(w), q = v128.load(w + bytes), r = v128.load(w + 2 * bytes), s = v128.load(w + 3 * bytes);
    a = f32x4.add(f32x4.add(a, f32x4.mul(even(p), left)), f32x4.mul(odd(p), right));
    b = f32x4.add(f32x4.add(b, f32x4.mul(even(q), left)), f32x4.mul(odd(q), right));
    c = f32x4.add(f32x4.add(c, f32x4.mul(even(r), left)), f32x4.mul(odd(r), right));
    d = f32x4.add(f32x4.add(d, f32x4.mul(even(s), left)), f32x4.mul(odd(s), right));
  }
  put(out, sum(a), adds); put(out + 4, sum(b), adds); put(out + 8, sum(c), adds); put(out + 12, sum(d), adds);
}

/** Two rows of a matrix times four inputs, which lie `step` bytes apart; results lie `stride` bytes apart. */
function twoByFour(w: usize, x: usize, bytes: i32, out: usize, stride: i32, adds: bool): void {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const last = w + bytes, step = 2 * bytes;
  for (; w < last; w += 16, x += 32) {
    const p = v128.load(w), q = v128.load(w + bytes);
    const p0 = even(p), p1 = odd(p), q0 = even(q), q1 = odd(q);
    let left = v128.load(x), right = v128.load(x, 16);
    a = f32x4.add(f32x4.add(a, f32x4.mul(p0, left)), f32x4.mul(p1, right));
    e = f32x4.add(f32x4.add(e, f32x4.mul(q0, left)), f32x4.mul(q1, right));
    left = v128.load(x + step); right = v128.load(x + step, 16);
    b = f32x4.add(f32x4.add(b, f32x4.mul(p0, left)), f32x4.mul(p1, right));
    f = f32x4.add(f32x4.add(f, f32x4.mul(q0, left)), f32x4.mul(q1, right));
    left = v128.load(x + 2 * step); right = v128.load(x + 2 * step, 16);
    c = f32x4.add(f32x4.add(c, f32x4.mul(p0, left)), f32x4.mul(p1, right));
    g = f32x4.add(f32x4.add(g, f32x4.mul(q0, left)), f32x4.mul(q1, right));
    left = v128.load(x + 3 * step); right = v128.load(x + 3 * step, 16);
    d = f32x4.add(f32x4.add(d, f32x4.mul(p0, left)), f32x4.mul(p1, right));
    h = f32x4.add(f32x4.add(h, f32x4.mul(q0, left)), f32x4.mul(q1, right));
  }
  put(out, sum(a), adds); put(out + 4, sum(e), adds);
  put(out + stride, sum(b), adds); put(out + stride + 4, sum(f), adds);
  put(out + 2 * stride, sum(c), adds); put(out + 2 * stride + 4, sum(g), adds);
  put(out + 3 * stride, sum(d), adds); put(out + 3 * stride + 4, sum(h), adds);
}

/**
 * A matrix times some inputs.
 * @param w `rows` rows of `columns` bfloat16.
 * @param x Inputs as `split` leaves them, one after the other.
 * @param adds Whether results are added to `out`.
 */
function product(w: usize, rows: i32, columns: i32, x: usize, inputs: i32, out: usize, stride: i32, adds: bool): void {
  const bytes: i32 = 2 * columns, step = 2 * bytes;
  let t = 0;
  for (; t + 4 <= inputs; t += 4)
    for (let r = 0; r < rows; r += 2) twoByFour(w + r * bytes, x + t * step, bytes, out + t * stride + 4 * r, stride, adds);
  for (; t < inputs; t++)
    for (let r = 0; r < rows; r += 4) fourRows(w + r * bytes, x + t * step, bytes, out + t * stride + 4 * r, adds);
}

/** Rotate the halves of each head of a row by its position's angles. */
function rotate(row: usize, turns: usize): void {
  for (let head = 0; head < HEADS; head++)
    for (let i = 0; i < 2 * SIZE; i += 16) {
      const at = row + 4 * SIZE * head + i, cos = v128.load(turns + i), sin = v128.load(turns + i, 2 * SIZE);
      const a = v128.load(at), b = v128.load(at, 2 * SIZE);
      v128.store(at, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
      v128.store(at, f32x4.add(f32x4.mul(b, cos), f32x4.mul(a, sin)), 2 * SIZE);
    }
}

@inline
function dot(a: usize, b: usize): f32 {
  let first = f32x4.splat(0), second = first;
  for (let i = 0; i < 4 * SIZE; i += 32) {
    first = f32x4.add(first, f32x4.mul(v128.load(a + i), v128.load(b + i)));
    second = f32x4.add(second, f32x4.mul(v128.load(a + i, 16), v128.load(b + i, 16)));
  }
  return sum(f32x4.add(first, second));
}

/** Attention of one head of one token over `count` positions; the query becomes the result. */
function attend(query: usize, keys: usize, values: usize, count: i32): void {
  let most: f32 = -Infinity;
  for (let j = 0; j < count; j++) {
    const score = dot(query, keys + j * ROW) * 0.125; // 1 / sqrt(SIZE)
    store<f32>(SCORES + 4 * j, score);
    most = max(most, score);
  }
  for (let j = count; j & 3; j++) store<f32>(SCORES + 4 * j, -Infinity);
  let total = f32x4.splat(0);
  for (let j = 0; j < count; j += 4) {
    const at = SCORES + 4 * j, score = v128.load(at);
    const power = v128.and(exp(f32x4.sub(score, f32x4.splat(most))), f32x4.ne(score, f32x4.splat(-Infinity)));
    v128.store(at, power);
    total = f32x4.add(total, power);
  }
  const share = f32x4.splat(1 / sum(total));
  for (let i = 0; i < 4 * SIZE; i += 64) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let j = 0; j < count; j++) {
      const weight = v128.load32_splat(SCORES + 4 * j), value = values + j * ROW + i;
      a = f32x4.add(a, f32x4.mul(weight, v128.load(value)));
      b = f32x4.add(b, f32x4.mul(weight, v128.load(value, 16)));
      c = f32x4.add(c, f32x4.mul(weight, v128.load(value, 32)));
      d = f32x4.add(d, f32x4.mul(weight, v128.load(value, 48)));
    }
    v128.store(query + i, f32x4.mul(a, share)); v128.store(query + i, f32x4.mul(b, share), 16);
    v128.store(query + i, f32x4.mul(c, share), 32); v128.store(query + i, f32x4.mul(d, share), 48);
  }
}

/** silu(gate) times up, ready for a product. */
function gated(gates: usize, ups: usize): void {
  const one = f32x4.splat(1);
  for (let i = 0; i < WIDE_ROW; i += 16) {
    const g = v128.load(gates + i);
    const silu = f32x4.div(g, f32x4.add(one, exp(f32x4.min(f32x4.neg(g), f32x4.splat(88)))));
    v128.store(gates + i, f32x4.mul(silu, v128.load(ups + i)));
  }
  split(gates, WIDE_ROW);
}

function layer(weights: usize, index: i32, tokens: i32, first: i32): void {
  const past = index * POSITIONS * ROW;
  const keys = KEYS + past, values = VALUES + past, here = first * ROW;
  for (let t = 0; t < tokens; t++) norm(X + t * ROW, weights + NORM, NORMED + t * ROW);
  product(weights + Q, HIDDEN, HIDDEN, NORMED, tokens, QUERIES, ROW, false);
  product(weights + K, HIDDEN, HIDDEN, NORMED, tokens, keys + here, ROW, false);
  product(weights + V, HIDDEN, HIDDEN, NORMED, tokens, values + here, ROW, false);
  for (let t = 0; t < tokens; t++) {
    const turns = TURNS + (first + t) * 4 * SIZE, query = QUERIES + t * ROW;
    rotate(query, turns);
    rotate(keys + here + t * ROW, turns);
    for (let head = 0; head < HEADS; head++) {
      const at = 4 * SIZE * head;
      attend(query + at, keys + at, values + at, first + t + 1);
    }
    split(query, ROW);
  }
  product(weights + O, HIDDEN, HIDDEN, QUERIES, tokens, X, ROW, true);
  for (let t = 0; t < tokens; t++) norm(X + t * ROW, weights + SECOND_NORM, NORMED + t * ROW);
  product(weights + GATE, INNER, HIDDEN, NORMED, tokens, GATES, WIDE_ROW, false);
  product(weights + UP, INNER, HIDDEN, NORMED, tokens, UPS, WIDE_ROW, false);
  for (let t = 0; t < tokens; t++) gated(GATES + t * WIDE_ROW, UPS + t * WIDE_ROW);
  product(weights + DOWN, HIDDEN, INNER, GATES, tokens, X, ROW, true);
}

/**
 * Read up to `PIECE` tokens, whose numbers stand at `IDS`, behind `first` tokens that were read before.
 * @param from The first of these tokens whose logits are computed, one row each, at `LOGITS`.
 */
export function read(weights: usize, tokens: i32, first: i32, from: i32): void {
  const layers = weights + EMBEDDING, last = layers + LAYERS * OF_LAYER;
  for (let t = 0; t < tokens; t++) {
    const row = weights + load<u32>(IDS + 4 * t) * 2 * HIDDEN;
    for (let i = 0; i < HIDDEN; i++) store<f32>(X + t * ROW + 4 * i, wide(row + 2 * i));
  }
  for (let index = 0; index < LAYERS; index++) layer(layers + index * OF_LAYER, index, tokens, first);
  if (from >= tokens) return;
  for (let t = from; t < tokens; t++) norm(X + t * ROW, last, NORMED + (t - from) * ROW);
  product(weights, VOCABULARY, HIDDEN, NORMED, tokens - from, LOGITS, LOGITS_ROW, false);
}
