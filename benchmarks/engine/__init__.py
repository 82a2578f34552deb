"""The engine on models of real sizes, beside mergekit. Run `python -m benchmarks.engine`."""
