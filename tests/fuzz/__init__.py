"""Hostile input: coverage-guided fuzzing of what reads bytes from outside, and kept failures."""
