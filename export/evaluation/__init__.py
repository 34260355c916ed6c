"""How good a model is: measures, and what it is measured beside."""
