"""What runs on the user's own machine beside the worker: a real Apache Kafka, a simulated shop.

Rules of the room: files only under the user's state and cache folders, listeners only on 127.0.0.1,
and nothing is done to a process before its start time has shown that it is ours.
"""
