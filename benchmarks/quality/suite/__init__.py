"""Every quality evaluation in one run: `python -m benchmarks.quality`."""
