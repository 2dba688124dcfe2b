"""TensorRT: what its ONNX parser takes, which layers stay FP32, building, the engine file, running.

Import from the files themselves; this package imports nothing, so that it costs nothing where TensorRT is absent.
"""
