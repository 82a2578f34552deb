let top: usize = __heap_base;

/** Reserve bytes, aligned for vectors, for ever; traps if the browser has no more. */
export function reserve(bytes: i32): usize {
  const address = (top + 15) & ~15;
  top = address + bytes;
  const pages = <i32>((top + 0xffff) >> 16) - memory.size();
  if (pages > 0 && memory.grow(pages) < 0) unreachable();
  return address;
}

/** What ranks are sorted in, and later keys and values: never at the same time. */
export const SCRATCH: usize = reserve(6 << 20);

/** The finaliser of splitmix64: dppa_core/pruning/tie_breaking.py (mix). */
@inline
export function mix(value: u64): u64 {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

/** A bfloat16 as float32. */
@inline
export function wide(address: usize): f32 {
  return reinterpret<f32>(<u32>load<u16>(address) << 16);
}
