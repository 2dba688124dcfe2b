"""Whole scenes: a source and a writer around any model. Rasters of any size in by windows, map layers out.

A scene is cut into tiles whose cores cover it once; what a model finds in each tile is put into a ledger as soon as it
is found, merged at the end as a function of that set alone, and written as layers in the coordinates of the scene.
"""
