"""Datasets: importers, conversion, download, rendered scenes."""
