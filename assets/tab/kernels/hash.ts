// SHA-256, of files and of the names that random draws begin with; the mix of tie breaking.
import { reserve } from "./memory";

/** The finaliser of splitmix64: dppa_core/pruning/tie_breaking.py (mix). */
@inline
export function mix(value: u64): u64 {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

const STATE: usize = reserve(32), WORDS: usize = reserve(256), ROUNDS: usize = reserve(256), START: usize = reserve(32);

/** The first 32 bits of the fractional part of a root of the prime `p`. */
function fraction(root: f64): u32 {
  return <u32>((root - Math.floor(root)) * 4294967296.0);
}
function constants(): void {
  let found = 0;
  for (let p = 2; found < 64; p++) {
    let prime = true;
    for (let q = 2; q * q <= p; q++) if (p % q == 0) prime = false;
    if (!prime) continue;
    store<u32>(ROUNDS + 4 * found, fraction(Math.cbrt(<f64>p)));
    if (found < 8) store<u32>(START + 4 * found, fraction(Math.sqrt(<f64>p)));
    found++;
  }
}
constants();

@inline
function word(place: i32): u32 {
  return load<u32>(WORDS + 4 * place);
}

function digest(block: usize): void {
  for (let i = 0; i < 16; i++) store<u32>(WORDS + 4 * i, bswap<u32>(load<u32>(block + 4 * i)));
  for (let i = 16; i < 64; i++) {
    const a = word(i - 15), b = word(i - 2);
    const first = rotr<u32>(a, 7) ^ rotr<u32>(a, 18) ^ (a >> 3), second = rotr<u32>(b, 17) ^ rotr<u32>(b, 19) ^ (b >> 10);
    store<u32>(WORDS + 4 * i, word(i - 16) + first + word(i - 7) + second);
  }
  let a = load<u32>(STATE), b = load<u32>(STATE, 4), c = load<u32>(STATE, 8), d = load<u32>(STATE, 12);
  let e = load<u32>(STATE, 16), f = load<u32>(STATE, 20), g = load<u32>(STATE, 24), h = load<u32>(STATE, 28);
  for (let i = 0; i < 64; i++) {
    const first = h + (rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25)) + ((e & f) ^ (~e & g))
      + load<u32>(ROUNDS + 4 * i) + word(i);
    const second = (rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g; g = f; f = e; e = d + first; d = c; c = b; b = a; a = first + second;
  }
  store<u32>(STATE, load<u32>(STATE) + a); store<u32>(STATE, load<u32>(STATE, 4) + b, 4);
  store<u32>(STATE, load<u32>(STATE, 8) + c, 8); store<u32>(STATE, load<u32>(STATE, 12) + d, 12);
  store<u32>(STATE, load<u32>(STATE, 16) + e, 16); store<u32>(STATE, load<u32>(STATE, 20) + f, 20);
  store<u32>(STATE, load<u32>(STATE, 24) + g, 24); store<u32>(STATE, load<u32>(STATE, 28) + h, 28);
}

const LAST: usize = reserve(128);
/** SHA-256 of bytes; returns the address of its 32 bytes. */
export function sha256(data: usize, size: usize): usize {
  memory.copy(STATE, START, 32);
  const whole = size & ~63, rest = size - whole, end: usize = rest < 56 ? 64 : 128;
  for (let at: usize = 0; at < whole; at += 64) digest(data + at);
  memory.fill(LAST, 0, 128);
  memory.copy(LAST, data + whole, rest);
  store<u8>(LAST + rest, 0x80);
  store<u64>(LAST + end - 8, bswap<u64>(<u64>size << 3));
  digest(LAST);
  if (end == 128) digest(LAST + 64);
  for (let i = 0; i < 32; i += 4) store<u32>(STATE + i, bswap<u32>(load<u32>(STATE + i)));
  return STATE;
}
