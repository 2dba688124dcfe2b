"""Maps of classes by exported files, without PyTorch and Ultralytics."""
