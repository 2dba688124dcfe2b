"""The task ``semantic``: a class for every pixel."""
