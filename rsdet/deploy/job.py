"""One export from the graph to the proof: make it, write into it what it is, and check it in every way asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.deploy import artifact as artifacts
from rsdet.deploy.bisect import TOL, TOL_HALF, LayerReport, compare_layers
from rsdet.deploy.calibration import Calibration, calibration_of
from rsdet.deploy.exporter import run_exporter
from rsdet.deploy.freesize import fix_size
from rsdet.deploy.gate import GateReport, accuracy_gate
from rsdet.deploy.parts import Part, make_parts
from rsdet.deploy.runners import TorchRunner, open_runner
from rsdet.deploy.settings import ExportSettings
from rsdet.deploy.verify import run_both
from rsdet.errors import ExportError, RSDetError
from rsdet.tasks.task import Report, Task
from rsdet.writing import put


@dataclass
class Job:
    """One export.

    Attributes:
        task: The task of the model.
        model: Wrapper.
        module: Its network.
        settings: How it is exported.
        samples: What it is checked with, for each size.
        device: Where the network is traced.
        meta: What is written into the artifact.
    """

    task: Task
    model: Any
    module: Any
    settings: ExportSettings
    samples: dict[tuple[int, int], Sequence[Any]]
    device: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> Mapping[str, Part]:
        """Graphs that the network becomes, where it is more than one."""
        return self.task.parts(self.module, self.settings)

    def make(self, place: Path, stem: str) -> Path:
        """Make the artifact, with our metadata; for an engine, the graph that it is built from.

        Args:
            place: Where to work.
            stem: Name without suffix.
        """
        s = self.settings
        said = {**s.exporter_settings(self.device), **self.task.exporter_settings(self.module, s)}
        self.meta = artifacts.describe(self.model, self.module, self.task, s.graph)
        self.meta.update(
            imgsz=list(s.size), batch=s.batch, dynamic=s.dynamic, half=s.half and s.format != "engine", int8=s.int8,
            opset=s.opset if s.graph == "onnx" else None, preprocess=self.task.preprocess_rule(self.module),
            **self.task.describe(self.module, s),
        )  # fmt: skip
        if parts := self.parts:
            made = make_parts(parts, place / stem, s, self.meta)
            artifacts.write_metadata(made, s.graph, self.meta)
            return made
        pictures = self.calibration() if s.int8 and s.format != "engine" else None
        made = run_exporter(self.model, self.module, said, place, stem, calibration=pictures)
        if s.dynamic == "batch":
            fix_size(made, s.graph, s.size, simplify=s.simplify, half=s.half)
        artifacts.write_metadata(made, s.graph, self.meta)
        return made

    def calibration(self) -> Calibration:
        """Pictures for INT8."""
        return calibration_of(self.task, self.settings.data, self.meta, self.settings.size, self.settings.batch)

    def prove(self, made: Path, target: Path, *, format: str | None = None) -> dict[str, Any]:
        """Check parity, layers and accuracy; what fails is put beside its place, renamed.

        Args:
            made: The artifact, in its workplace.
            target: Where it shall lie.
            format: Its format; that of the settings when None.

        Returns:
            Fields of :class:`ExportResult`.

        Raises:
            ExportError: It failed.
        """
        s, format = self.settings, format or self.settings.format
        reports: dict[str, Any] = {"metadata": self.meta}
        try:
            reports["parity"] = None if s.int8 and format == s.format else self._parity(made, format)
            if format == "onnx":
                reports["tensorrt"] = self._tensorrt(made)
                if s.debug:
                    reports["layers"] = self.layers(made)
                    if s.verbose:
                        print(reports["layers"].table())
            if reports["parity"] is not None and not reports["parity"].ok:
                raise ExportError(
                    f"{format} artifact disagrees with the PyTorch model: {reports['parity'].summary()}; "
                    f"{self._where(made, format, reports.get('layers'))}export again with other settings"
                    + (f", or {s.options.remedy}" if s.options.remedy else "")
                )
            if s.data is not None and format == s.format:
                reports["accuracy"] = self._accuracy(made)
                artifacts.write_metadata(made, format, self.meta)
        except RSDetError as e:
            rejected = put(made, target.with_name(f"{target.name}.rejected"))
            raise ExportError(f"{e} (the artifact was kept as {rejected})") from e
        return reports

    def home(self, format: str) -> str:
        """Where an artifact runs while it is checked."""
        if format == "engine":
            return "cuda:0" if self.device == "cpu" else self.device
        return self.device if format == "torchscript" else "cpu"

    def _parity(self, made: Path, format: str) -> Report:
        s = self.settings
        batch = max(s.batch, 2) if s.dynamic == "batch" and format != "engine" else s.batch  # any but the traced one
        device = self.device if format in ("torchscript", "engine") else "cpu"
        reference = TorchRunner(self.task.reference(self.module, s), device, fuse=False)
        runner = open_runner(made, self.home(format))
        runs = run_both(self.task, self.meta, reference, runner, self.samples, batch, made.name)
        return self.task.compare(reference, runs, s)

    def _tensorrt(self, made: Path) -> tuple[str, ...]:
        from rsdet.deploy.trt.check import check_graph

        graphs = sorted(made.glob("*.onnx")) if made.is_dir() else [made]
        found = tuple(str(p) for graph in graphs for p in check_graph(graph))
        if found and self.settings.verbose:
            print(f"TensorRT would not take this graph ({len(found)} places; nothing to do with other backends):")
            print("\n".join(f"  {p}" for p in found[:5]) + ("\n  ..." if len(found) > 5 else ""))
        return found

    def layers(self, made: Path) -> LayerReport:
        """Compare an ONNX graph with the network row by row, on the first samples."""
        s = self.settings
        x = self.task.preprocess((list(self.samples[s.size]) * s.batch)[: s.batch], self.meta, s.size)
        tol = TOL_HALF if s.half and s.format == "onnx" else TOL
        reference = self.task.reference(self.module, s)
        return compare_layers(reference, made, x, tol=tol, in_graph=lambda output: self.task.in_graph(output, s))

    def _where(self, made: Path, format: str, layers: LayerReport | None) -> str:
        """Which layer is to blame, as far as that can be told."""
        if format != "onnx" or made.is_dir():
            return ""
        try:
            return f"{(layers or self.layers(made)).summary()}; "
        except RSDetError as e:
            return f"layers cannot be compared ({e}); "

    def _accuracy(self, made: Path) -> GateReport:
        s = self.settings
        report = accuracy_gate(self.task, self.model, made, s, self.home(s.format), made.parent / "val")
        if not report.ok or (report.vacuous and s.int8):
            raise ExportError(
                f"{s.format} artifact {report.summary()}; "
                + (
                    "expected a model whose accuracy can be measured; train it first"
                    if report.vacuous
                    else "expected a smaller loss; use another precision, or accept it with max_drop="
                )
            )
        self.meta["accuracy"] = report.as_dict()
        return report
