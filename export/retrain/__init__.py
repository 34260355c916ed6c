"""The retrain loop: new data, a candidate, both as served on the newest days, gates, a report.

Rules of the room: the days on which bundles are compared are newer than what either has learned
from. Nothing is promoted unless it is asked for and every gate is passed.
"""
