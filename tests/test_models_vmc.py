"""The model YAMLs of VMC-DETR and its baseline: layer table, parameters, work, gradients, variables."""

from __future__ import annotations

import copy
import io
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics.nn.modules import C2f

import rsdet.nn
from rsdet.deploy.complexity import Complexity, complexity
from rsdet.errors import ConfigError
from rsdet.modelyaml import load_model_yaml
from rsdet.nn import CAGFM, MFADM, VHeatC2f
from rsdet.paths import cfg_dir
from rsdet.tasks.detect.model import RTDETRModel

FOLDER = cfg_dir() / "models" / "detect"
VMC = sorted(p.name for p in FOLDER.glob("vmc-detr*.yaml"))


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def build(name: str, scale: str | None = None, nc: int = 8, **variables) -> RTDETRModel:
    return RTDETRModel(load_model_yaml(name, scale, variables), nc=nc)


@cache
def cost(name: str, scale: str | None = None, nc: int = 8, size: int = 640, changes: tuple = ()) -> Complexity:
    variables = {k: list(v) if isinstance(v, tuple) else v for k, v in changes}
    return complexity(on_meta(name, scale, nc, **variables), (size, size))


@cache
def _demo() -> RTDETRModel:
    with torch.random.fork_rng():  # the same whichever test is the first, whose own numbers stay as they are too
        torch.manual_seed(0)
        return build("vmc-detr-demo.yaml")


def demo() -> RTDETRModel:
    """The demo model with random weights; building it takes longer than copying it."""
    return copy.deepcopy(_demo())


def on_meta(*args, **variables) -> RTDETRModel:
    """A model without memory, for what shapes alone decide."""
    with torch.device("meta"):
        return build(*args, **variables)


def shapes(model: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    hooks = [m.register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape[1:]))) for m in model.model[:-1]]
    with torch.no_grad():
        model.eval()(x)
    for h in hooks:
        h.remove()
    return seen


TABLE = [  # out channels and stride of rows 0 to 25 of vmc-detr.yaml
    (64, 2), (128, 4), (128, 4), (256, 8), (256, 8), (512, 16), (512, 16), (1024, 32), (1024, 32),
    (256, 32), (256, 32), (256, 32), (256, 16), (256, 32), (2048, 32), (256, 32), (256, 8), (512, 8), (256, 8),
    (256, 16), (256, 32), (768, 32), (256, 32), (256, 8), (768, 8), (256, 8),
]  # fmt: skip
PARTS = {"h": VHeatC2f, "m": MFADM, "c": CAGFM}  # the letters in the names of the ablation files


class TestFullModel:
    def test_layer_table(self):
        model = on_meta("vmc-detr.yaml")
        got = shapes(model, torch.zeros(1, 3, 128, 192, device="meta"))
        assert got == [(c, 128 // s, 192 // s) for c, s in TABLE]
        kinds = {i: type(m) for i, m in enumerate(model.model)}
        assert {i for i, t in kinds.items() if t is VHeatC2f} == {6, 8}
        assert {i for i, t in kinds.items() if t is MFADM} == {12, 19}
        assert {i for i, t in kinds.items() if t is CAGFM} == {14, 17, 21, 24}
        assert [model.model[i].fve.shape for i in (6, 8)] == [(256, 40, 40), (512, 20, 20)]
        assert [model.model[i].pw.conv.in_channels for i in (12, 19)] == [768, 384]
        head = model.model[-1]
        assert (head.num_queries, head.num_decoder_layers, head.hidden_dim, head.nhead) == (300, 3, 256, 8)

    @pytest.mark.parametrize(
        ("changes", "params", "gflops"),
        [
            ((), 31.00, 70.35),
            ((("heat4", "C2f"), ("heat5", "C2f")), 32.34, 72.85),  # "No"
            ((("heat5", "C2f"),), 32.36, 71.60),  # "First"
            ((("heat4", "C2f"),), 30.98, 71.59),  # "Last"
            ((("kernels", (3, 5, 7, 9)),), None, 69.93),
            ((("kernels", (9, 11, 13, 15)),), None, 71.53),
        ],
    )
    def test_complexity_of_the_variants(self, changes, params, gflops):
        got = cost("vmc-detr.yaml", changes=changes)
        assert got.gflops_legacy == pytest.approx(gflops, abs=0.02)
        assert params is None or got.params / 1e6 == pytest.approx(params, abs=0.01)

    def test_within_one_percent_of_the_paper(self):
        assert cost("vmc-detr.yaml").gflops_legacy == pytest.approx(70.5, rel=0.01)

    def test_one_more_kernel_tap_costs_what_it_must(self):
        rise = cost("vmc-detr.yaml", changes=(("kernels", (9, 11, 13, 15)),)).gflops_legacy
        rise -= cost("vmc-detr.yaml", changes=(("kernels", (3, 5, 7, 9)),)).gflops_legacy
        taps = sum(k * k for k in (9, 11, 13, 15)) - sum(k * k for k in (3, 5, 7, 9))
        assert rise / taps == pytest.approx(2 * 1600 * 1152 / 1e9, rel=1e-4)

    @pytest.mark.parametrize(("scale", "gflops"), [("n", 10.5), ("s", 23.1), ("m", 42.9), ("x", 77.5)])
    def test_scales(self, scale, gflops):
        assert cost("vmc-detr.yaml", scale).gflops_legacy == pytest.approx(gflops, rel=0.01)

    @pytest.mark.parametrize("down", ["conv", "avgpool", "interp"])
    def test_downsampling_of_table_9(self, down):
        model = on_meta("vmc-detr.yaml", "n", down=down)
        assert shapes(model, torch.zeros(1, 3, 64, 64, device="meta"))[-1] == (128, 8, 8)

    def test_queries_are_an_argument(self):
        y = on_meta("vmc-detr.yaml", "n", nq=40).eval()(torch.zeros(1, 3, 128, 128, device="meta"))
        assert (y[0] if isinstance(y, tuple) else y).shape == (1, 40, 6)


class TestBaseline:
    @pytest.mark.parametrize(("nc", "params", "gflops"), [(80, 20.184, 58.62), (8, 20.092, 58.30)])
    def test_complexity(self, nc, params, gflops):
        got = cost("rtdetr-r18.yaml", nc=nc)
        assert got.params / 1e6 == pytest.approx(params, abs=1e-3)
        assert got.gflops_legacy == pytest.approx(gflops, abs=0.01)

    def test_strides(self):
        got = shapes(on_meta("rtdetr-r18.yaml"), torch.zeros(1, 3, 64, 96, device="meta"))
        assert got[:5] == [(64, 16, 24), (64, 16, 24), (128, 8, 12), (256, 4, 6), (512, 2, 3)]


class TestAblation:
    @pytest.mark.parametrize("key", ["h", "c", "m", "hc", "hm", "mc"])
    def test_has_its_parts_and_the_numbers_in_its_header(self, key):
        name = f"vmc-detr-ablate-{key}.yaml"
        model, got = on_meta(name), cost(name)
        present = {k for k, cls in PARTS.items() if any(isinstance(m, cls) for m in model.modules())}
        assert present == set(key)
        head = (FOLDER / name).read_text().split("task:")[0].replace("\n# ", " ")
        said = re.search(r"nc=8 at 640: ([\d.]+) M parameters, ([\d.]+) GFLOPs", head)
        assert (f"{got.params / 1e6:.2f}", f"{got.gflops_legacy:.2f}") == said.groups()

    def test_concatenation_instead_of_cagfm(self):
        got = cost("vmc-detr-ablate-hm.yaml")
        assert (round(got.params / 1e6, 2), round(got.gflops_legacy, 2)) == (24.90, 69.97)


class TestLite:
    def test_costs_what_the_baseline_costs(self):
        got, full, base = cost("vmc-detr-lite.yaml"), cost("vmc-detr.yaml"), cost("rtdetr-r18.yaml")
        assert (round(got.params / 1e6, 2), round(got.gflops_legacy, 2)) == (26.47, 59.44)
        assert got.gflops_legacy / base.gflops_legacy == pytest.approx(1.0, abs=0.03)
        assert full.gflops_true - got.gflops_true == pytest.approx(10.91, abs=0.01)

    @pytest.mark.parametrize(
        ("scale", "params", "gflops"), [("n", 4.28, 9.8), ("s", 9.85, 20.4), ("m", 16.85, 36.8), ("x", 27.73, 66.6)]
    )
    def test_scales_have_the_numbers_in_the_header(self, scale, params, gflops):
        got = cost("vmc-detr-lite.yaml", scale)
        assert (round(got.params / 1e6, 2), round(got.gflops_legacy, 1)) == (params, gflops)

    def test_only_the_four_convolutions_differ(self):
        for full, lite in (("vmc-detr.yaml", "vmc-detr-lite.yaml"), ("vmc-detr-demo.yaml", "vmc-detr-lite.yaml:t")):
            one, other = (cost(n.partition(":")[0], n.partition(":")[2] or None).layers for n in (full, lite))
            differ = [a.index for a, b in zip(one, other, strict=True) if (a.type, a.params) != (b.type, b.params)]
            assert differ == [1, 3, 5, 7]
            assert {other[i].type for i in differ} == {"ADown"}


class TestDemo:
    def test_is_small(self):
        got = cost("vmc-detr-demo.yaml", nc=10, size=320)
        assert got.params < 2.2e6
        assert 2 * got.params < 4.8e6  # bytes of a half-precision checkpoint
        assert got.gflops_legacy < 1.5

    def test_has_every_module_of_the_full_one(self):
        full, small = ({type(m) for m in on_meta(n).model} for n in ("vmc-detr.yaml", "vmc-detr-demo.yaml"))
        assert full == small

    @pytest.mark.parametrize("size", [(320, 320), (256, 352), (32, 416)])
    def test_runs_at_any_multiple_of_32(self, size):
        model, x = demo().eval(), torch.rand(1, 3, *size)
        assert shapes(model, x)[-1] == (64, size[0] // 8, size[1] // 8)

    def test_loss_reaches_the_heat(self):
        model = demo().train()
        model.args = None
        box = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.3, 0.6, 0.1, 0.1]])
        batch = {
            "img": torch.rand(2, 3, 96, 96),
            "cls": torch.tensor([[1.0], [3.0]]),
            "bboxes": box,
            "batch_idx": torch.tensor([0.0, 1.0]),
        }
        loss, _ = model.loss(batch)
        loss.backward()
        assert loss.isfinite()
        for block in (m for m in model.modules() if isinstance(m, VHeatC2f)):
            assert block.fve.grad.abs().max() > 0
            assert all(b.hco.to_k.weight.grad.abs().max() > 0 for b in block.m)
        for p in model.parameters():
            assert p.grad is None or p.grad.isfinite().all()

    @pytest.mark.parametrize("free", [False, True])
    def test_backbone_and_neck_in_onnx_runtime(self, free):
        import onnxruntime as ort

        class Levels(nn.Module):  # without the decoder, whose top-k order is arbitrary before training
            def __init__(self, model):
                super().__init__()
                self.rows = nn.ModuleList(model.model)

            def forward(self, x):
                y = []
                for m in self.rows[:-1]:
                    x = m(x if m.f == -1 else y[m.f] if isinstance(m.f, int) else [y[j] for j in m.f])
                    y.append(x)
                return [y[j] for j in self.rows[-1].f]

        model = Levels(demo().fuse(verbose=False)).eval()
        for m in model.modules():
            if hasattr(m, "dynamic"):
                m.dynamic = free
        buffer, x = io.BytesIO(), torch.rand(1, 3, 128, 128)
        axes = {"x": {0: "batch", 2: "height", 3: "width"}} if free else None
        torch.onnx.export(model, x, buffer, opset_version=17, input_names=["x"], dynamic_axes=axes, dynamo=False)
        session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
        for size in [(128, 128)] + [(96, 160), (192, 64)] * free:
            x = torch.rand(1, 3, *size)
            with torch.no_grad():
                want = model(x)
            for a, b in zip(session.run(None, {"x": x.numpy()}), want, strict=True):
                assert np.abs(a - b.numpy()).max() < 1e-3


class TestFiles:
    @pytest.mark.parametrize("name", [*VMC, "rtdetr-r18.yaml"])
    def test_says_what_it_is_and_numbers_its_rows(self, name):
        text = (FOLDER / name).read_text()
        d = load_model_yaml(name)
        assert text.startswith("# ")
        assert (d["task"], d["family"], d["nc"]) == ("detect", "rtdetr", 80)
        rows = d["backbone"] + d["head"]
        marks = [int(m) for m in re.findall(r"\]\s*# (\d+)", text)]
        assert marks == list(range(len(rows)))  # the row numbers in the comments are right
        assert rows[-1][2] == "RTDETRDecoder"

    @pytest.mark.parametrize("scale", "nsmlx")
    def test_variables_are_filled_in(self, scale):
        d = load_model_yaml("vmc-detr.yaml", scale)
        assert not any(isinstance(a, str) and a in {"neck", "w1", "hd", "nr"} for r in d["head"] for a in r[3])

    def test_unknown_variable_is_named(self):
        with pytest.raises(ConfigError, match="kernels"):
            load_model_yaml("vmc-detr.yaml", None, {"kernel": [3]})

    def test_heat_off_is_the_stock_block_with_its_shortcut(self):
        block = on_meta("vmc-detr.yaml", "n", heat4="C2f").model[6]
        assert type(block) is C2f
        assert block.m[0].add


def test_every_equation_of_section_3_is_in_a_docstring():
    folder = Path(rsdet.nn.__file__).parent
    text = "\n".join((folder / f"{name}.py").read_text() for name in ("heat", "mfadm", "cagfm"))
    assert [n for n in range(1, 11) if not re.search(rf"\({n}\)$|\(equation {n}\)", text, re.M)] == []


def test_fusing_changes_nothing():
    model, x = demo().eval(), torch.rand(1, 3, 96, 96)
    lean = copy.deepcopy(model).fuse(verbose=False)
    assert all(m.fused for m in lean.modules() if isinstance(m, MFADM))
    kept = []
    for m in (model, lean):
        m.model[-2].register_forward_hook(lambda m, i, o: kept.append(o))
        with torch.no_grad():
            m(x)
    assert torch.allclose(*kept, atol=1e-4)
