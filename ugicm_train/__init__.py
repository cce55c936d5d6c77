"""Training of UG-ICM codecs: configuration, network, stages, checkpoints. Imports neither the runtime nor ONNX Runtime."""
