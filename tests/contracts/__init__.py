"""What others build on: the AsyncAPI document, and what may change in a message."""
