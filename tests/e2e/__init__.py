"""The whole thing, as processes on a real broker."""
