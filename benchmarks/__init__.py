"""How fast the tap is, beside what people would write without it: `uv run -m benchmarks`."""
