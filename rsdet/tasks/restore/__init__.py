"""The task ``restore``: pictures in, better pictures out (dehazing, super-resolution, cloud removal)."""
