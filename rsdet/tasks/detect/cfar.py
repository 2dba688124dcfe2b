"""CFAR among the detectors: ``rsdet predict model=cfar`` and ``rsdet val model=cfar``, at native resolution.

The values of a file travel through Ultralytics in the place of its picture (float32, NaN where there are no data), and
the model turns them into boxes as an end-to-end network does. There is no letterbox and no resizing: a threshold made
for the statistics of pixels means nothing after interpolation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.data.loaders import LoadTensor
from ultralytics.engine.results import Results
from ultralytics.utils import LOGGER

from rsdet.arguments import fit
from rsdet.classical.detector import Cfar
from rsdet.classical.reader import AmplitudeReader, as_picture
from rsdet.data.sar import Stretch
from rsdet.errors import ConfigError, DataError
from rsdet.modelyaml import load_model_yaml
from rsdet.names import class_names
from rsdet.quiet import say
from rsdet.tasks.detect.dataset import OurYOLODataset
from rsdet.tasks.detect.predict import YOLOPredict
from rsdet.tasks.detect.val import YOLOVal

_READING = ("quantity", "units", "nodata")


class CFARModel(nn.Module):
    """CFAR with the interface of Ultralytics' models; it has no parameters.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML of the family ``cfar``.
        ch: Channels of the image; one.
        nc: Number of classes; one.
        verbose: Print the settings.

    Attributes:
        detector: The settings.
        reader: How files become amplitudes.

    Raises:
        ConfigError: A setting out of its range, or more than one class.
    """

    family = "cfar"
    task = "detect"
    learns = False

    def __init__(
        self,
        cfg: str | Path | dict[str, Any] = "cfar.yaml",
        ch: int = 1,
        nc: int | None = None,
        verbose: bool = False,
    ):
        super().__init__()
        self.yaml = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        values = dict(self.yaml.get("vars") or {})
        reading = {k: values.pop(k) for k in _READING if k in values}
        self.detector = Cfar(**fit(Cfar, values, "model=cfar"))
        self.reader = AmplitudeReader(_as_stretch(**fit(_as_stretch, reading, "model=cfar")))
        self.names = class_names(self.yaml.get("names") or {0: "ship"})
        if len(self.names) != 1 or (nc or 1) != 1:
            raise ConfigError(f"CFAR tells no classes apart, received {list(self.names.values())}; name a single one.")
        self.stride = torch.tensor([1])
        self.nothing = nn.Parameter(torch.empty(0), requires_grad=False)  # Ultralytics asks parameters for the device
        if verbose:
            LOGGER.info(self.describe())

    def describe(self) -> str:
        """Say in one line what will be done."""
        c = self.detector
        limits = f"{c.min_length:g} px or more" + (f", at most {c.max_length:g}" if c.max_length else "")
        return (
            f"{c.method.upper()}-CFAR: pfa {c.pfa:g}, guard {c.guard} px, background {c.background} px, looks {c.looks}"
            + (f", rank {c.rank:g}" if c.method == "os" else "")
            + f", closing {c.closing} px, objects of {limits}; files hold quantity={self.reader.stretch.quantity}, "
            + f"units={self.reader.stretch.units}. No parameters, nothing is learnt."
        )

    def forward(self, x: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Detect.

        Args:
            x: (B, 1, H, W) linear amplitude, uint8 or float32, NaN where there are no data.
            **kwargs: What Ultralytics passes to networks; nothing of it applies.

        Returns:
            (B, N, 6) xyxy in pixels, score, class; the best first, padded with zeros.
        """
        found = [self.detector(image[0].cpu().numpy()) for image in x]
        out = torch.zeros(len(found), max((len(f.scores) for f in found), default=0), 6)
        for row, f in zip(out, found, strict=True):
            row[: len(f.scores), :4] = torch.from_numpy(f.boxes_xyxy)
            row[: len(f.scores), 4] = torch.from_numpy(f.scores)
        return out.to(x.device)


def _as_stretch(quantity: str = "amplitude", units: str = "linear", nodata: float | None = None) -> Stretch:
    return Stretch(quantity=quantity, units=units, nodata=nodata, per_image=True)


class CFARPredict(YOLOPredict):
    """Predictor: values in, boxes out; pictures only for people."""

    def preprocess(self, im: torch.Tensor | list[np.ndarray]) -> torch.Tensor:
        """Stack amplitudes (H, W, 1) to (B, 1, H, W); smaller ones are filled up with missing data."""
        if isinstance(im, torch.Tensor):
            raise DataError("CFAR takes files and arrays of values, no tensors; pass tensor[0, 0].numpy().")
        if len(im) == 1:
            return torch.from_numpy(np.ascontiguousarray(im[0])).permute(2, 0, 1)[None]
        height, width = (max(x.shape[i] for x in im) for i in (0, 1))
        out = torch.full((len(im), 1, height, width), float("nan"))
        for to, x in zip(out, im, strict=True):
            to[0, : x.shape[0], : x.shape[1]] = torch.from_numpy(x[..., 0])
        return out

    def setup_source(self, *args: Any, **kwargs: Any) -> None:
        """Open the source; tensors, which Ultralytics takes for pictures in 0..1, are refused."""
        super().setup_source(*args, **kwargs)
        if isinstance(self.dataset, LoadTensor):
            raise DataError("CFAR takes files and arrays of values, no tensors; pass tensor[0, 0].numpy().")

    def stream_inference(self, *args: Any, **kwargs: Any) -> Iterator[Results]:
        """Detect in one batch after the other; where nothing at all is found, say how the values were read."""
        found = 0
        for result in super().stream_inference(*args, **kwargs):
            found += len(result)
            yield result
        if not found:
            how = self.model.model.reader.stretch
            say(
                f"no objects in any picture. The values were read as quantity={how.quantity} units={how.units}; say "
                "units=db if they are decibels, and quantity=intensity if they are powers.",
                logging.WARNING,
            )

    def inference(self, im: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Detect in one picture after the other; nothing in one that the memory is too small for."""
        found = [im.new_zeros(1, 0, 6)] * len(im)
        for i in range(len(im)):
            with self.of_picture(i):
                found[i] = super().inference(im[i : i + 1], *args, **kwargs)
        most = max(f.shape[1] for f in found)
        return torch.cat([nn.functional.pad(f, (0, 0, 0, most - f.shape[1])) for f in found])

    def postprocess(self, preds: torch.Tensor, img: torch.Tensor, orig_imgs: list[np.ndarray]) -> list[Results]:
        """Boxes as for any model, on pictures that a person can read."""
        most = self.args.max_det
        for path, rows in zip(self.batch[0], preds, strict=True):
            if (n := int((rows[:, 4] > self.args.conf).sum())) > most:
                LOGGER.warning(f"{path}: {n} objects, the best {most} are kept; raise max_det= or lower pfa=.")
        pictures = [np.zeros((1, 1, 3), np.uint8)] * len(orig_imgs)
        for i, x in enumerate(orig_imgs):
            with self.of_picture(i):
                pictures[i] = as_picture(x)
        return super().postprocess(preds, img, pictures)

    def construct_result(self, pred: torch.Tensor, img: torch.Tensor, orig_img: np.ndarray, img_path: str) -> Results:
        """A result without scaling: boxes are in original pixels already."""
        return Results(orig_img, path=img_path, names=self.model.names, boxes=pred[:, :6])


class _NativeDataset(OurYOLODataset):
    """Labels as ever, amplitudes at native size in the place of pictures."""

    amplitudes: AmplitudeReader

    def load_image(self, i: int, *args: Any, **kwargs: Any) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Read the amplitudes of one file."""
        x = self.amplitudes(self.im_files[i])
        return x, x.shape[:2], x.shape[:2]

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Ultralytics' sample, letterboxed to the size that it has."""
        label = super().get_image_and_label(index)
        return {**label, "rect_shape": label["resized_shape"]}


class CFARVal(YOLOVal):
    """Validator: the tables of any detector, from amplitudes at native resolution."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.args.batch, self.args.cache, self.args.device = 1, False, "cpu"  # sizes differ; pictures are not used
        self.args.augment = False

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate; how files are read is said by the model, unless the data says it."""
        self.native = model
        return super().__call__(trainer, model, **kwargs)

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        """Build the dataset of any detector and let it yield amplitudes."""
        if self.data.get("sar") is None:
            self.data["sar"] = self.native.reader.stretch.to_dict()
        self.sar, self.channels = dict(self.data["sar"]), None
        dataset = super().build_dataset(img_path, mode, batch)
        dataset.__class__ = _NativeDataset
        dataset.amplitudes = AmplitudeReader(Stretch.from_dict(self.sar))
        return dataset

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Leave the amplitudes as they are."""
        return batch

    def plot_val_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw the labels on pictures that a person can read."""
        super().plot_val_samples(_shown(batch), ni)

    def plot_predictions(self, batch: dict[str, Any], preds: list[dict[str, Any]], ni: int, *args: Any) -> None:
        """Draw the detections on pictures that a person can read."""
        super().plot_predictions(_shown(batch), preds, ni, *args)


def _shown(batch: dict[str, Any]) -> dict[str, Any]:
    pictures = [as_picture(x[0].numpy()) for x in batch["img"]]
    return {**batch, "img": torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255}
