"""Tests of the model room, on a small bundle of random weights."""
