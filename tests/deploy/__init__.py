"""Tests of the files under deploy/, and of docker-compose.yml."""
