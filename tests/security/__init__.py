"""Who gets in, what they may do, and what is told to whom."""
