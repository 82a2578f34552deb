// Memory that is reserved once and never freed.

/** Reserve bytes, aligned for vectors; traps if the browser has no more. */
export function reserve(bytes: i32): usize {
  return heap.alloc(bytes);
}
