"""Exporters: a data set in memory, or predictions, to the text of one format each; equal input, equal bytes."""
