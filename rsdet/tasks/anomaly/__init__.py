"""The task ``anomaly``: what does not belong to the background of a hyperspectral cube."""
