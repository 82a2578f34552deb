"""Bytes of WebAssembly that each worker of a page holds."""

from playwright.sync_api import Page

NOTES_MEMORY = """{
  const start = WebAssembly.instantiate;
  WebAssembly.instantiate = async (module) => {
    const made = await start(module);
    globalThis.held = made.exports.memory;
    return made;
  };
}
"""
"""Before the text of tab/worker.js."""


def held_bytes(page: Page) -> list[int]:
    """Of each worker."""
    return [worker.evaluate("() => held.buffer.byteLength") for worker in page.workers]
