"""What a trained model becomes: plain weights, ONNX graphs, a checked folder for the worker."""
