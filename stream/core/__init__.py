"""The engine: arrays in, arrays out. No clock, I/O, logging, async or randomness in this room."""
