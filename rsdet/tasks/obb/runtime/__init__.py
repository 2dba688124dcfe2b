"""Exported models of oriented boxes with NumPy, OpenCV and the backend alone."""
