"""Simulation: the real core and flow on a fake broker, clock and disk (docs/simulation.md)."""
