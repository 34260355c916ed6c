"""Training and export: what makes a bundle. May use torch and scikit-learn; the service may not.

Rules of the room: imports stream.core, stream.model, stream.wire and stream.local; nothing of the
service imports it. Everything is a function of a seed. Synthetic data is labelled so.
"""

import stream  # noqa: F401  first: it silences ONNX Runtime before that is loaded
