"""The benchmarks: one load, one broker, contenders that are modules with the same three names."""
