"""Everything of Ultralytics that rsdet replaces while it runs: one table, and the only lines that do it.

A row names the target, what of ours stands there, why, and when the row can go. Most are put in place right after the
import of the module that they wait for, by whomever that is imported; those ``within`` stand there only as long as the
context manager of ours that the row names, and those ``filled`` are collections that what the row names adds to.
``tests/test_integration.py`` fails by the name of the row when a release of Ultralytics moves what it stands on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from rsdet._hooks import when_imported

WITHIN, FILLED = "within", "filled"
_ABSENT = object()


class Patch(NamedTuple):
    """One row of the table.

    Attributes:
        target: ``module:attribute`` of what is replaced.
        ours: ``module:function`` that takes what stands there and returns what shall; of a row ``within``, the context
            manager; of one ``filled``, who adds to it.
        why: What goes wrong without it.
        until: When it can go.
        after: Module after whose import it is put in place, by default that of the target; or ``within``, ``filled``.
        everywhere: Also in the modules of Ultralytics that have copied the name already.
    """

    target: str
    ours: str
    why: str
    until: str
    after: str = ""
    everywhere: bool = False

    @property
    def module(self) -> str:
        """Module of the target."""
        return self.target.partition(":")[0]


TABLE = (
    Patch(
        "ultralytics.utils:ONLINE", "rsdet.quiet:never",
        "update checks, hub and loggers ask the network unasked", "a setting switches all of them off", everywhere=True,
    ),
    Patch(
        "ultralytics.utils:AUTOINSTALL", "rsdet.quiet:only_if_asked",
        "packages are installed at run time, where Ultralytics was imported first", "the default is off",
        everywhere=True,
    ),
    Patch(
        "ultralytics.utils.events:events.enabled", "rsdet.quiet:never",
        "use is reported, where Ultralytics was imported first", "the default is off",
    ),
    Patch(
        "PIL.Image:open", "rsdet.quiet:pillow_open",
        "an unreadable picture makes Ultralytics want to install a HEIF reader", "it no longer replaces Image.open",
        after="ultralytics.utils.patches",
    ),
    Patch(
        "ultralytics.utils.checks:check_font", "rsdet.quiet:font_at_hand",
        "plots fetch a font", "the font is part of the package", after="rsdet.tasks.runs", everywhere=True,
    ),
    Patch(
        "ultralytics.utils.downloads:attempt_download_asset", "rsdet.quiet:exact_name",
        "apostrophes are stripped from names of weights, and another file is loaded or fetched", "names are kept",
    ),
    Patch(
        "ultralytics.utils.checks:check_requirements", "rsdet.quiet:named_packages",
        "an exporter warns of missing packages and fails at their import", "it raises what to install, and no more",
        everywhere=True,
    ),
    Patch(
        "ultralytics.nn.autobackend:check_class_names", "rsdet.names:cleaned",
        "class names from files move cursors and leave folders", "never: names from files stay foreign",
        everywhere=True,
    ),
    Patch(
        "ultralytics.data.utils:check_det_dataset", "rsdet.data.checked:checked",
        "what stands under download: of a data YAML is run", "it runs nothing unless asked", everywhere=True,
    ),
    Patch(
        "ultralytics.data.utils:check_image", "rsdet.data.reading:check_image",
        "pictures that Pillow cannot name count as damaged, and JPEGs of thermal cameras are written anew",
        "never: the look goes with our readers", after="rsdet.data.reading",
    ),
    Patch(
        "ultralytics.data.base:imread", "rsdet.data.reading:imread",
        "16 bits are shifted to 8, bands and pages dropped", "a dataset has a method that reads a file",
        after="rsdet.data.reading",
    ),
    Patch(
        "ultralytics.data.dataset:save_dataset_cache_file", "rsdet.data.label_cache:save",
        "the cache of labels is a pickle", "it is plain arrays", after="rsdet.data.label_cache",
    ),
    Patch(
        "ultralytics.models.yolo.model:YOLO.__init__", "rsdet.handover:handed_over",
        "YOLO(...) knows no model of ours", "Ultralytics has a registry of models",
    ),
    Patch(
        "ultralytics.nn.tasks:_SafeLoad._build", "rsdet.checkpoint:with_registered",
        "safe loading knows no layer of ours", "Ultralytics has a registry of layers",
    ),
    Patch(
        "ultralytics.nn.tasks:_SafeLoad.loading", "rsdet.checkpoint:refusing_calls",
        "checkpoints may call the layers that they may name, and need those of plug-ins and timm",
        "safe loading refuses calls, and has a registry",
    ),
    Patch(
        "ultralytics.nn.tasks:SAFE_LOAD", "rsdet.checkpoint:unless_refused",
        "weights run code, where Ultralytics was imported first", "the default is on",
    ),
    Patch(
        "ultralytics.nn.tasks:SAFE_LOAD", "rsdet.checkpoint:always",
        "an allow-list is worth nothing to a loader without PyTorch's restrictions, which the user may have asked of "
        "Ultralytics' own YOLO(...); here, since every process of a training imports this",
        "safe loading is all there is", after="rsdet.tasks.training",
    ),
    Patch(
        "ultralytics.engine.trainer:strip_optimizer", "rsdet.tasks.training:whole_or_not",
        "a checkpoint is written over in place: killed in between, it is lost", "it is written aside and renamed",
        after="rsdet.tasks.training",
    ),
    Patch(
        "ultralytics.nn.backends.openvino:OpenVINOBackend.load_model", "rsdet.deploy.fullprecision:in_fp32",
        "FP32 files run in BF16 on some processors, unlike the export that was checked", "it sets the precision itself",
    ),
    Patch(
        "openvino:Core", "rsdet.deploy.fullprecision:cores_in_fp32",
        "the backend makes its core by this name", "with the row above", after=WITHIN,
    ),
    Patch(
        "ultralytics.nn.tasks:parse_model", "rsdet.registry:building",
        "the parser knows no layer of ours", "Ultralytics has a registry of layers", after=WITHIN,
    ),
    Patch(
        "ultralytics.nn.tasks:_SafeLoad._local.active", "rsdet.registry:building",
        "the parser evaluates text unless a safe load is under way", "it evaluates none", after=WITHIN,
    ),
    Patch(
        "ultralytics.nn.tasks:_SafeLoad._registry", "rsdet.checkpoint:allow_needed",
        "a checkpoint needs layers of plug-ins and timm", "Ultralytics has a registry of layers", after=FILLED,
    ),
    Patch(
        "ultralytics.cfg:TASK2DATA", "rsdet.loadedmodel:LoadedModel",
        "every task is looked up there, though data= is always given", "it looks up what is not given", after=FILLED,
    ),
    Patch(
        "ultralytics.data.build:YOLODataset", "rsdet.tasks.detect.dataset:our_datasets",
        "the builder takes no dataset class", "it takes one", after=WITHIN,
    ),
    Patch(
        "ultralytics.data.build:SemanticDataset", "rsdet.tasks.semantic.dataset:semantic_datasets",
        "the builder takes no dataset class", "it takes one", after=WITHIN,
    ),
    Patch(
        "ultralytics.data.build:PolygonSemanticDataset", "rsdet.tasks.semantic.dataset:semantic_datasets",
        "the builder takes no dataset class", "it takes one", after=WITHIN,
    ),
    Patch(
        "ultralytics.models.rtdetr.train:RTDETRDataset", "rsdet.tasks.detect.dataset:our_datasets",
        "the builder takes no dataset class", "it takes one", after=WITHIN,
    ),
    Patch(
        "ultralytics.models.rtdetr.val:RTDETRDataset", "rsdet.tasks.detect.dataset:our_datasets",
        "the builder takes no dataset class", "it takes one", after=WITHIN,
    ),
    Patch(
        "ultralytics.engine.trainer:_YOLO_CLI_COMMAND", "rsdet.tasks.detect.tune:trials_by_rsdet",
        "trials are processes that know no model of ours", "the tuner takes a command", after=WITHIN,
    ),
    Patch(
        "ultralytics.engine.exporter:file_size", "rsdet.deploy.exporter:of_any_size",
        "a file below 0.1 MB counts as a failed export, and AOD-Net has no more", "size is not judged", after=WITHIN,
    ),
    Patch(
        "ultralytics.engine.exporter:NMSModel", "rsdet.deploy.exporter:classes_apart",
        "suppression in a graph keeps classes one picture apart, so that a box that leaves the picture drops one of "
        "another class", "it keeps them as far apart as predict does", after=WITHIN,
    ),
)  # fmt: skip
installed: dict[Patch, tuple[Any, Any]] = {}  # row -> what stood there, what stands there now
_locks = {patch.target: threading.RLock() for patch in TABLE if patch.after == WITHIN}


def connect() -> None:
    """Let every row of the table wait for its module; safe to call twice."""
    for patch in TABLE:
        if patch.after not in (WITHIN, FILLED):
            when_imported(patch.after or patch.module, partial(_install, patch))


def _install(patch: Patch) -> None:
    if patch in installed:
        return
    owner, name = place(patch.target)
    module, _, function = patch.ours.partition(":")
    stock = getattr(owner, name)
    ours = getattr(import_module(module), function)(stock)
    copies = [m for n, m in list(sys.modules.items()) if n.startswith("ultralytics.")] if patch.everywhere else []
    for holder in (owner, *(m for m in copies if vars(m).get(name, _ABSENT) is stock)):
        setattr(holder, name, ours)
    installed[patch] = stock, ours


@contextmanager
def swapped(target: str, ours: Any) -> Iterator[None]:
    """Put ours in the place of a target of the table that is replaced ``within``; one thread at a time may."""
    owner, name = place(target)
    with _locks[target]:  # the name is process-wide
        stock = getattr(owner, name, _ABSENT)
        setattr(owner, name, ours)
        try:
            yield
        finally:
            delattr(owner, name) if stock is _ABSENT else setattr(owner, name, stock)


def place(target: str) -> tuple[Any, str]:
    """What holds a target, and the attribute's name."""
    module, _, path = target.partition(":")
    owner: Any = import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, name
