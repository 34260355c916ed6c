"""What was served, rebuilt from the topics: the order of rows, and what follows from it.

Rules of the room: it reads, and never writes to a broker. Nothing is guessed: each row's place
stands in a prediction or in a receipt, and where the log has been cut or contradicts itself,
ServedError says so in one line. What was read is decoded by stream.wire, as it was in service.
"""
