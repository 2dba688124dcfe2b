"""Restoring pictures before something else looks at them: enhancers, chains of them, and the one tiler."""
