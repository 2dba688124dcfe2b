"""Restoring pictures before something else looks at them: enhancers and chains of them."""
