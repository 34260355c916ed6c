"""Limits at their edges, users who come and go for ever, and the cost of crowded places."""
