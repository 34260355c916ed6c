"""Published benchmarks, from their files to a report: each trains, exports, and asks the bundle."""
