"""One export from the graph to the proof: make it, write into it what it is, and check it in every way asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy import artifact as artifacts
from rsdet.deploy.bisect import TOL, TOL_HALF, LayerReport, compare_layers
from rsdet.deploy.calibration import Calibration, calibration_of
from rsdet.deploy.decode import preprocess, preprocess_rule
from rsdet.deploy.exporter import run_exporter
from rsdet.deploy.freesize import fix_size
from rsdet.deploy.gate import GateReport, accuracy_gate
from rsdet.deploy.parity import ParityReport, RawReport
from rsdet.deploy.verify import verify
from rsdet.deploy.wishes import Wishes, oblong
from rsdet.errors import ExportError, RSDetError
from rsdet.writing import put


@dataclass
class Job:
    """One export.

    Attributes:
        model: Wrapper.
        module: Its network.
        wishes: How it is exported.
        images: Pictures to check with.
        device: Where the network is traced.
        verbose: Say what is found on the way.
        parity_conf: Score threshold of the comparison.
        box_tol_px: Largest accepted box difference in original pixels.
        score_tol: Largest accepted score difference.
        meta: What is written into the artifact.
    """

    model: Any
    module: Any
    wishes: Wishes
    images: list[np.ndarray]
    device: str
    verbose: bool
    parity_conf: float
    box_tol_px: float
    score_tol: float
    meta: dict[str, Any] = field(default_factory=dict)

    def make(self, place: Path, stem: str, queries: int | None) -> Path:
        """Make the artifact, with our metadata; for an engine, the graph that it is built from.

        Args:
            place: Where to work.
            stem: Name without suffix.
            queries: Queries of the network, where it has some.
        """
        w = self.wishes
        settings = w.exporter_settings(self.device, queries)
        spec = getattr(self.module, "yaml", None) or {}
        pictures = self.calibration() if w.int8 and w.format != "engine" else None
        made = run_exporter(self.model, self.module, settings, place, stem, calibration=pictures)
        graph = settings["format"]
        if w.dynamic == "batch":
            fix_size(made, graph, w.size, simplify=w.simplify, half=w.half)
        meta = artifacts.describe(self.model, self.module, w.family, graph)
        meta.update(
            imgsz=list(w.size), batch=w.batch, dynamic=w.dynamic, half=w.half and w.format != "engine", int8=w.int8,
            nms=bool(w.nms), thresholds=w.thresholds, opset=w.opset if graph == "onnx" else None,
            preprocess=preprocess_rule(w.family, spec.get("sar")),
        )  # fmt: skip
        artifacts.write_metadata(made, graph, meta)
        self.meta = meta
        return made

    def calibration(self) -> Calibration:
        """Pictures for INT8."""
        w, spec = self.wishes, getattr(self.module, "yaml", None) or {}
        return calibration_of(
            w.data, family=w.family, size=w.size, batch=w.batch, channels=int(spec.get("channels", 3)),
            sar=spec.get("sar"), bands=spec.get("bands"),
        )  # fmt: skip

    def prove(self, made: Path, target: Path, *, format: str | None = None) -> dict[str, Any]:
        """Check parity, layers and accuracy; what fails is put beside its place, renamed.

        Args:
            made: The artifact, in its workplace.
            target: Where it shall lie.
            format: Its format; that of the wishes when None.

        Returns:
            Fields of :class:`ExportResult`.

        Raises:
            ExportError: It failed.
        """
        w, format = self.wishes, format or self.wishes.format
        reports: dict[str, Any] = {"metadata": self.meta}
        try:
            reports["parity"] = None if w.int8 and format == w.format else self._parity(made, format)
            if format == "onnx":
                reports["tensorrt"] = self._tensorrt(made)
                if w.debug:
                    reports["layers"] = self.layers(made)
                    if self.verbose:
                        print(reports["layers"].table())
            if reports["parity"] is not None and not reports["parity"].ok:
                raise ExportError(
                    f"{format} artifact disagrees with the PyTorch model: {reports['parity'].summary()}; "
                    f"{self._where(made, format, reports.get('layers'))}export again with other settings, or accept "
                    "more with box_tol_px= and score_tol="
                )
            if w.data is not None and format == w.format:
                reports["accuracy"] = self._accuracy(made)
                artifacts.write_metadata(made, format, self.meta)
        except RSDetError as e:
            rejected = put(made, target.with_name(f"{target.name}.rejected"))
            raise ExportError(f"{e} (the artifact was kept as {rejected})") from e
        return reports

    def _home(self, format: str) -> str:
        """Where an artifact runs while it is checked."""
        if format == "engine":
            return "cuda:0" if self.device == "cpu" else self.device
        return self.device if format == "torchscript" else "cpu"

    def _parity(self, made: Path, format: str) -> ParityReport | RawReport:
        w = self.wishes
        batch = max(w.batch, 2) if w.dynamic == "batch" and format != "engine" else w.batch  # any but the traced one
        report = verify(
            self.module, made, task=w.task, family=w.family, batch=batch, images=self.images, conf=self.parity_conf,
            sizes=[w.size, oblong(w.size)] if w.dynamic is True else [w.size], box_tol_px=self.box_tol_px,
            score_tol=self.score_tol, end2end=w.nms is False, suppression=w.thresholds if w.nms else None,
            device=self.device if format in ("torchscript", "engine") else "cpu", artifact_device=self._home(format),
        )  # fmt: skip
        if w.nms and report.vacuous:
            raise ExportError(
                f"nothing was found above conf={w.thresholds['conf']:g}, so that the suppression in the graph could "
                "not be checked; expected objects; pass images= that hold some, or a lower conf="
            )
        return report

    def _tensorrt(self, made: Path) -> tuple[str, ...]:
        from rsdet.deploy.trt.check import check_graph

        found = tuple(str(p) for p in check_graph(made))
        if found and self.verbose:
            print(f"TensorRT would not take this graph ({len(found)} places; nothing to do with other backends):")
            print("\n".join(f"  {p}" for p in found[:5]) + ("\n  ..." if len(found) > 5 else ""))
        return found

    def layers(self, made: Path) -> LayerReport:
        """Compare an ONNX graph with the network row by row, on the first image."""
        w = self.wishes
        pictures = (self.images * w.batch)[: w.batch]
        x = preprocess(pictures, w.family if w.task == "detect" else "rtdetr", w.size)
        tol = TOL_HALF if w.half and w.format == "onnx" else TOL
        return compare_layers(self.module, made, x, tol=tol, end2end=w.nms is False, suppressed=bool(w.nms))

    def _where(self, made: Path, format: str, layers: LayerReport | None) -> str:
        """Which layer is to blame, as far as that can be told."""
        if format != "onnx":
            return ""
        try:
            return f"{(layers or self.layers(made)).summary()}; "
        except RSDetError as e:
            return f"layers cannot be compared ({e}); "

    def _accuracy(self, made: Path) -> GateReport:
        w = self.wishes
        given = dict(w.thresholds) if w.nms else {"nms": False} if w.nms is False else None
        report = accuracy_gate(
            self.model, made, data=w.data, size=w.size, batch=w.batch, protocol=w.protocol, max_drop=w.allowed,
            family=w.family, device=self._home(w.format), suppression=given,
            project=made.parent / "val",
        )  # fmt: skip
        if not report.ok or (report.vacuous and w.int8):
            raise ExportError(
                f"{w.format} artifact {report.summary()}; "
                + (
                    "expected a model whose accuracy can be measured; train it first"
                    if report.vacuous
                    else "expected a smaller loss; use another precision, or accept it with max_drop="
                )
            )
        self.meta["accuracy"] = report.as_dict()
        return report
