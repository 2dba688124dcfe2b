"""Land cover by exported files, without PyTorch and Ultralytics."""
