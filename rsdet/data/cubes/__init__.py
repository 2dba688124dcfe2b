"""Cubes of hundreds of bands, with the LiDAR rasters and label maps that lie on their grid.

``opening`` reads them as they are delivered, ``bands`` says which bands are taken, ``labels`` what a map of classes
holds, ``scene`` puts the files of one scene together as its data YAML says, ``splits`` says which of its pixels are
learnt from and which are measured. ``rendering`` draws the cube of ``data=demo-cube``.
"""
