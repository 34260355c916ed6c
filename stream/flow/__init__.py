"""The order of steps: intake, merge, scoring, commit, restore. Sees the world through protocols."""
