"""`python -m export COMMAND`: one file a command; heavy imports only when it is used."""
