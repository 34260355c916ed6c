"""Demand: how much of an item is asked for in the next hours or days. Series, models, comparison.

Rules of the room: time is cut into periods of one length (hour, day, week; UTC), a series is one
number a period. The last 20 % of the periods are the test: nothing is fitted, chosen or scaled with
them. A forecast for period t, its origin, is made of the periods before t alone. Letters: S series,
T periods, N origins, H horizon, L look-back. What is wrong with the data is a DemandError.
"""
