"""Exported models of instance masks with NumPy, OpenCV and the backend alone."""
