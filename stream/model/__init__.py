"""The model in service: a bundle of ONNX graphs, its checks, and the scorer that runs plans on it.

Rules of the room: imports core, numpy, numba and ONNX Runtime only; no torch, no training. Files
are read when a bundle is loaded, never later.
"""
