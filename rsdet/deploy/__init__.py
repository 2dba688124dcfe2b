"""From a trained model to a measured artifact: complexity, export, parity with PyTorch, timing, benchmark.

Import from the files themselves; this package imports nothing, so that ``import rsdet.deploy`` stays quick.
"""
