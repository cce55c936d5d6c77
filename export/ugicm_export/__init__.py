"""Export of trained checkpoints to bundles: ONNX engines and the integer entropy model, verified against torch."""
