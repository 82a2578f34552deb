"""DPPA Studio: builds the page and serves it; nothing else."""

from components.page.command import serve

if __name__ == "__main__":
    serve()
