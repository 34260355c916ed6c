"""From events to training data: logs, the engine's record of them, labels, arrays. No torch."""
