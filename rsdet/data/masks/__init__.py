"""Masks as others deliver them, read as class numbers: index masks, palettes, colours, and masks that leave pixels out.

A data YAML says what its masks hold:

- ``label_mapping: {0: 255, 1: 0, 2: 1}``: value to class, 255 for none; a value that is not named is the class of that
  number, and ``others:`` stands for all that are neither, but for what a TIFF says is no data.
- ``palette: {landslide: "#ffff00", background: others}``: class to its colour, or a list of them; ``ignore`` has those
  of no class, and of data with one class ``background`` has those beside it. Pixels without opacity are black.
- ``ignore_masks: [rover, range]``: folders in the place of ``images`` with masks of what is to be left out: not 0.

One channel is read by ``label_mapping``, and by ``palette`` (as grey) where there is no mapping; colours, and palettes
of colours, by ``palette``. Without it, a palette holds class numbers, and colours have no meaning.
"""
