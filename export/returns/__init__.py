"""Does a customer come back? The benchmark on purchases alone: LSTM against what it must beat."""
