"""Methods without learning: what a network has to beat. Nothing here knows of tasks or of Ultralytics."""
