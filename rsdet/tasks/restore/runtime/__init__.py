"""Restored pictures by exported files, without PyTorch and Ultralytics."""
