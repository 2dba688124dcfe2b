"""The task ``detect``: axis-aligned boxes."""
