"""The slow, obvious twin of the engine: dicts, lists and integers, one row at a time.

Rules of the room: written from docs/engine.md and CONTRACTS.md, never from stream.core's code; no
numpy in the logic. Where twin and engine disagree, one of them, or the document, is wrong.
"""
