"""Bytes to arrays and back: events in, outputs out, state rows. No clock, I/O or logging here."""
