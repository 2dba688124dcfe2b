"""The task ``landcover``: a class for every pixel of a hyperspectral cube, with LiDAR where there is some."""
