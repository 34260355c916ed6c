"""The audit: a second opinion on whether every input event is accounted for.

Rules of the room: it imports nothing else of `stream`, so that it cannot share a mistake with what
it checks; it decodes with its own few lines (decode.py). Pure but for the `Log` protocol, through
which records come. Millions of events: int64 columns per topic partition, 64-bit hashes for texts.
"""
