"""What tasks have in common whose networks are classes, and whose data Ultralytics has no reader for."""

from __future__ import annotations

from typing import Any

from rsdet.errors import ConfigError
from rsdet.tasks.task import Task

# Keys of Ultralytics' detectors, and of ours, of which nothing comes in the training of a network that is no detector.
OF_DETECTORS = frozenset({
    "agnostic_nms", "angle", "augment", "augmentations", "auto_augment", "bgr", "box", "classes", "close_mosaic",
    "cls", "cls_pw", "compile", "conf", "copy_paste", "copy_paste_mode", "cutmix", "degrees", "dfl", "distill_model",
    "dropout", "embed", "end2end", "enhance", "erasing", "freeze_enhancer", "hsv_h", "hsv_s", "hsv_v",
    "ignore_regions", "iou", "iou_loss", "kobj", "line_width", "mask_ratio", "max_det", "mixup", "mosaic",
    "multi_scale", "nms", "overlap_mask", "perspective", "pose", "protocol", "rect", "retina_masks", "save_conf",
    "save_crop", "save_json", "save_txt", "scale", "shear", "show_boxes", "show_conf", "show_labels", "single_cls",
    "speckle", "tracker", "translate", "visualize",
})  # fmt: skip


class NetworkTask(Task):
    """A task of networks that are classes, which know their channels themselves, and of methods without weights.

    Attributes:
        methods: Those of the families that are methods.
    """

    methods: tuple[str, ...] = ()

    def check_yaml(self, d: dict[str, Any], name: str) -> dict[str, Any]:
        """Check what the YAML of a network or a method says of itself.

        Raises:
            ConfigError: Its name is missing.
        """
        key = "method" if d["family"] in self.methods else "network"
        if not isinstance(d.get(key), str):
            raise ConfigError(f"{name}: {key}: must be a name, received {d.get(key)!r}; mend the file.")
        return d

    def build(self, d: dict[str, Any], verbose: bool = False) -> Any:
        """Build the network or the method."""
        return self.classes(d["family"])["model"](d, verbose=verbose)
