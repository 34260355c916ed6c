"""The rivals' programs, each run as a process in its own library's environment."""
