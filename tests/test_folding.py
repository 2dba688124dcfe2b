"""Networks folded for inference against the same networks unfolded."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from ultralytics.nn.modules import C2f, RepC3, RTDETRDecoder

import rsdet.tasks.detect.model as detect
from rsdet.errors import ConfigError
from rsdet.model import RSDet
from rsdet.modelyaml import load_model_yaml
from rsdet.nn import CAGFM, VHeatC2f
from rsdet.nn.folded_decoder import FoldedDecoder, use_decoder_layers
from rsdet.nn.folding import fold_rows
from rsdet.nn.gated_repc3 import GatedRepC3
from rsdet.nn.unsplit import UnsplitC2f


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def lively(model: nn.Module) -> nn.Module:
    """In eval mode, with statistics and weights away from their start, where branches would be alike or silent."""
    with torch.no_grad():
        for name, p in [*model.named_parameters(), *model.named_buffers()]:
            if p.is_floating_point() and "running_var" not in name:
                p.add_(torch.randn_like(p) * 0.05)
    return model.eval()


def batch_norms_folded(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """As Ultralytics folds it, without ours."""
    with monkeypatch.context() as m:
        m.setattr(detect, "fold_rows", lambda rows: None)
        return deepcopy(model).fuse(verbose=False)


SCALES = {"rtdetr-r18.yaml": "t", "vmc-detr.yaml": "n"}
MODELS = ["vmc-detr-demo.yaml", *SCALES]


def tiny(name: str) -> nn.Module:
    return lively(detect.build(load_model_yaml(name, scale=SCALES.get(name))))


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    torch.manual_seed(0)
    model = tiny(request.param)
    with pytest.MonkeyPatch.context() as m:
        return request.param, batch_norms_folded(model, m), deepcopy(model).fuse(verbose=False)


def rows_of(model: nn.Module, x: torch.Tensor) -> dict[int, torch.Tensor]:
    found: dict[int, torch.Tensor] = {}
    hooks = [r.register_forward_hook(lambda m, _, y: found.__setitem__(m.i, y)) for r in model.model]
    with torch.inference_mode():
        model(x)
    for h in hooks:
        h.remove()
    return found


@pytest.mark.parametrize("size", [(128, 192), (96, 96)])
def test_every_row_computes_the_same(pair, size):
    _, plain, folded = pair
    x = torch.rand(2, 3, *size)
    want, got = rows_of(plain, x), rows_of(folded, x)
    head = len(plain.model) - 1
    for i, y in want.items():
        if i != head and not isinstance(folded.model[i], nn.Identity):
            assert (got[i] - y).abs().max() <= 1e-5 * y.abs().max(), (i, type(folded.model[i]).__name__)


def test_what_could_be_folded_is(pair):
    name, plain, folded = pair
    kinds = {type(m) for m in folded.model}
    assert (nn.Upsample in kinds) == (name == "rtdetr-r18.yaml")  # all others double maps for CAGFM alone
    assert not kinds & {C2f, VHeatC2f, CAGFM, RTDETRDecoder}
    assert FoldedDecoder in kinds
    assert (GatedRepC3 in kinds) == any(type(m) is CAGFM for m in plain.model)
    assert sum(p.numel() for p in folded.model[-1].parameters()) > 0
    assert folded.fuse(verbose=False) is folded  # a second time changes nothing
    assert {type(m) for m in folded.model} == kinds


@pytest.mark.parametrize("layers", [1, None])
def test_the_decoder_gives_the_same_boxes(pair, layers):
    # In float64, where no two scores are so near that rounding decides which query comes first.
    plain = deepcopy(pair[1]).double()
    head = plain.model[-1]
    if layers:
        use_decoder_layers(head, layers)
    folded = deepcopy(plain)
    fold_rows(folded.model)
    ours = folded.model[-1]
    assert len(ours.decoder.layers) == (layers or head.num_decoder_layers)
    for b, n in ((1, 8), (2, 4)):
        maps = [
            torch.randn(b, c.in_channels, n * k, n * k + 1).double()
            for (c, _), k in zip(head.input_proj, (4, 2, 1), strict=True)
        ]
        with torch.inference_mode():
            (want, parts), (got, our_parts) = head(maps), ours(maps)
        assert (want - got).abs().max() < 1e-6  # anchors are made in float32
        for x, y in zip(parts[:4], our_parts[:4], strict=True):
            assert (x - y).abs().max() < 1e-6


def test_folding_leaves_the_original_alone():
    model = tiny("vmc-detr-demo.yaml")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    deepcopy(model).fuse(verbose=False)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def folded_conv(cv: nn.Module) -> None:
    from ultralytics.utils.torch_utils import fuse_conv_and_bn

    cv.conv = fuse_conv_and_bn(cv.conv, cv.bn)
    del cv.bn
    cv.forward = cv.forward_fuse


@pytest.mark.parametrize(("ch", "doubled"), [([8, 8], [False, False]), ([8, 8, 8], [True, True, False]),
                                             ([4, 8], [True, False]), ([8, 8], [True, True])])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_equation_9_in_the_weights(ch, doubled, dtype):
    fusion, rep = lively(CAGFM(ch)), lively(RepC3(8 * len(ch), 12, 2, 0.5))
    for cv in (*(m for m in fusion.align if not isinstance(m, nn.Identity)), rep.cv1, rep.cv2, rep.cv3):
        folded_conv(cv)
    fusion, rep = fusion.to(dtype), rep.to(dtype)
    x = [torch.randn(2, c, 6 // (1 + d), 10 // (1 + d), dtype=dtype) for c, d in zip(ch, doubled, strict=True)]
    enlarged = [nn.functional.interpolate(m, scale_factor=2.0) if d else m for m, d in zip(x, doubled, strict=True)]
    with torch.inference_mode():
        want, got = rep(fusion(enlarged)), GatedRepC3(fusion, rep, doubled)(x)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-2}[dtype]
    assert got.dtype == dtype
    assert (want - got).abs().max() < tolerance * want.abs().max()


def test_maps_that_do_not_fit_are_refused_as_before():
    fusion, rep = lively(CAGFM([8, 8])), lively(RepC3(16, 12, 1, 0.5))
    for cv in (rep.cv1, rep.cv2):
        folded_conv(cv)
    with pytest.raises(ConfigError, match=r"6x6, 5x5.*multiple of 32"):
        GatedRepC3(fusion, rep, [True, False])([torch.randn(1, 8, 3, 3), torch.randn(1, 8, 5, 5)])


def test_an_upsampling_that_others_read_stays():
    model = tiny("vmc-detr-demo.yaml")
    plain = deepcopy(model)
    up = next(r for r in plain.model if type(r) is nn.Upsample)
    reader = plain.model[-1]
    reader.f = [up.i, *reader.f[1:]]  # the decoder reads it too
    plain.fuse(verbose=False)
    assert type(plain.model[up.i]) is nn.Upsample


@pytest.mark.parametrize("block", [lambda: C2f(8, 12, 2, True), lambda: VHeatC2f(8, 12, 2, res=5)])
def test_unsplit(block):
    block = lively(block())
    for cv in (block.cv1, block.cv2):
        folded_conv(cv)
    x = torch.randn(2, 8, 5, 7)
    with torch.inference_mode():
        assert (UnsplitC2f(block)(x) - block(x)).abs().max() < 1e-5


def test_weights_can_be_loaded_with_fewer_decoder_layers(tiny_weights, tmp_path):
    whole, short = RSDet(tiny_weights), RSDet(tiny_weights, decoder_layers=1)
    x = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        a, b = (m.model.eval()(x)[0] for m in (whole, short))
    assert a.shape == b.shape
    assert not torch.equal(a, b)
    loose = dict(box_tol_px=1e9, score_tol=1.0, imgsz=96, verbose=False)  # it has seen two batches
    sizes = [m.export(format="onnx", out=tmp_path / n, **loose).size_mb for m, n in ((whole, "w"), (short, "s"))]
    assert sizes[1] < sizes[0]
    with pytest.raises(ConfigError, match="decoder_layers"):
        RSDet(tmp_path / "s" / "last.onnx", decoder_layers=1)


@pytest.mark.parametrize("layers", [0, 4, 1.0, True])
def test_decoder_layers_that_do_not_exist(layers):
    with pytest.raises(ConfigError, match="decoder_layers"):
        use_decoder_layers(tiny("rtdetr-r18.yaml").model[-1], layers)
