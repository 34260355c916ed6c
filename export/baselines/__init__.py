"""What a model must beat: simple answers, fitted on the same rows. Numpy."""
