"""The tests: one folder per room, plus oracle, strategies, fakes, sim, kafka, bench."""
