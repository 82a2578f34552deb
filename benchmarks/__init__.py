"""How fast DPPA Studio is on the machine at hand. Run `python -m benchmarks`."""
