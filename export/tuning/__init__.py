"""Which settings are best: searches, the length of a sequence. Of validation, never of test."""
