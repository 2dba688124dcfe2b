"""Oriented boxes: Ultralytics' models, trainer, validator and predictor behind our reading, protocols and pictures."""
