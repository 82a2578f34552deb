"""DPPA Studio: builds the page and serves it; nothing else."""

from components.workbench import build_page, start


def main() -> None:
    """Serve until interrupted."""
    page = build_page()
    start(page)
    page.block_thread()


if __name__ == "__main__":
    main()
