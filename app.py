"""DPPA Studio: builds the page and serves it; nothing else."""

import gc

gc.disable()  # a start makes 300,000 objects, and they stay: garbage is looked for later

from components.workbench import build_page, start  # noqa: E402


def main() -> None:
    """Serve until interrupted."""
    page = build_page()
    start(page)
    gc.freeze()
    gc.enable()
    page.block_thread()


if __name__ == "__main__":
    main()
