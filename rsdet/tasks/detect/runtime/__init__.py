"""Exported detectors with NumPy, OpenCV and the backend alone."""
