"""Data of semi-supervised segmentation: whose labels are used, weak and strong augmentations, masks of objects.

``labelled`` says which pictures have labels, ``weak`` crops a sample, ``appearance`` (with ``augin``) and ``mixing``
(with ``pasting`` and ``regions``) make strong views of a batch, ``object_masks`` reads and chooses masks of objects,
``mask_sources`` makes them.
"""
