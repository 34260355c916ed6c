"""Flow: order, positions, commits; the world is faked at the protocols, core and wire are real."""
