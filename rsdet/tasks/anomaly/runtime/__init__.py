"""Anomalies by exported files, without PyTorch and Ultralytics."""
