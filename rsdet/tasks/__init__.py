"""One folder per task; each holds only what differs from Ultralytics."""
