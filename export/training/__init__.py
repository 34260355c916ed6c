"""How a network is trained and calibrated. Torch."""
