"""Networks of segmentation-models-pytorch as ours: the same numbers, any size, nothing fetched, checkpoints, export."""

from __future__ import annotations

import copy
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rsdet import checkpoint
from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.modelyaml import read_model_yaml, resolve
from rsdet.nn.networks import build_network
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.nn.smp import SMP

SLIM = {"encoder": "resnet18", "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}}


@pytest.fixture(autouse=True)
def _quiet(request):
    torch.set_num_threads(1)
    if "missing" not in request.node.name:
        pytest.importorskip("segmentation_models_pytorch")


def test_it_is_the_network_of_the_package():
    import segmentation_models_pytorch as package

    net = SMP("fpn", "resnet18", channels=4, nc=3).eval()
    theirs = package.FPN("resnet18", encoder_weights=None, in_channels=4, classes=3).eval()
    theirs.load_state_dict(net.net.state_dict())
    x = torch.rand(2, 4, 64, 32)
    with torch.no_grad():
        assert torch.equal(net(x), theirs(x))


@pytest.mark.parametrize(
    ("args", "multiple"),
    [
        ({"arch": "unet", "encoder": "resnet18"}, 32),
        ({"arch": "deeplabv3plus", "encoder": "resnet18"}, 16),
        ({"arch": "segformer", "encoder": "mit_b0"}, 32),
        ({"arch": "upernet", "encoder": "tu-convnext_atto"}, 32),
        (SLIM, 8),
    ],
    ids=str,
)
def test_any_size_and_hooks_on_the_features(args, multiple):
    net = SMP(**args, channels=2, nc=3).eval()
    assert net.stride == multiple
    with torch.no_grad():
        x = torch.rand(1, 2, 70, 50)
        y = net(x)
        net.features.register_forward_hook(lambda _, __, features: tuple(0 * f for f in features))
        assert not torch.allclose(net(x), y, atol=1e-4)
    assert y.shape == (1, 3, 70, 50)


def test_the_yaml_takes_architecture_and_encoder_by_name():
    d = resolve(read_model_yaml("smp.yaml"), None, {"arch": "linknet", "encoder": "resnet18"})
    net = build_network(d["network"], {**d["args"], "nc": 7}, SegmentationNetwork).eval()
    assert type(net.net).__name__ == "Linknet"
    assert net(torch.rand(1, 3, 32, 32)).shape == (1, 7, 32, 32)


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """What would be fetched from the hub, which is away."""
    from segmentation_models_pytorch import encoders

    asked = []

    def away(repo: str, **_: object) -> str:
        asked.append(repo)
        raise FileNotFoundError("the hub cannot be reached\nand more")

    monkeypatch.setattr(encoders, "hf_hub_download", away)
    return asked


def test_nothing_is_fetched_until_a_training_starts(hub):
    net = SMP(encoder="resnet18", weights="imagenet")
    copy.deepcopy(net)
    assert not hub
    with pytest.raises(DataError, match=r"weights=imagenet .* be online once") as e:
        net.load_pretrained()
    assert "\n" not in str(e.value)
    assert len(hub) == 1


def test_without_weights_nothing_is_loaded(hub):
    assert SMP(**SLIM).load_pretrained() is None
    assert not hub


def test_weights_reach_the_encoder_alone(monkeypatch):
    net = SMP(**SLIM, weights="imagenet")
    source = SMP(**SLIM)
    monkeypatch.setattr(net, "_built", lambda weights: source.net if weights == "imagenet" else None)
    decoder = {k: v.clone() for k, v in net.net.decoder.state_dict().items()}
    assert "imagenet" in net.load_pretrained()
    assert all(torch.equal(v, source.net.encoder.state_dict()[k]) for k, v in net.net.encoder.state_dict().items())
    assert all(torch.equal(v, decoder[k]) for k, v in net.net.decoder.state_dict().items())


# -- checkpoints -------------------------------------------------------------------------------------------------------


def saved(net: torch.nn.Module, folder) -> str:
    path = str(folder / "net.pt")
    torch.save({"model": net}, path)
    return path


def loaded(path: str) -> SMP:
    from ultralytics.nn.tasks import _SafeLoad

    checkpoint.check(path)
    with _SafeLoad.loading(path):
        return torch.load(path, map_location="cpu", weights_only=True)["model"]


@pytest.mark.parametrize("encoder", ["resnet18", "tu-convnext_atto", "mit_b0"])
def test_a_checkpoint_is_loaded_without_the_classes_of_other_packages(tmp_path, encoder):
    net = SMP(encoder=encoder, channels=2, nc=3).eval()
    net.names, net.i = {0: "a", 1: "b", 2: "c"}, 0
    path, x = saved(net, tmp_path), torch.rand(1, 2, 64, 64)
    assert b"segmentation_models_pytorch" not in Path(path).read_bytes()
    twin = loaded(path)
    assert torch.equal(twin(x), net(x))
    assert (twin.names, twin.i, twin.training, twin.options) == (net.names, 0, False, {})


def test_copies_keep_precision_and_draw_no_numbers(tmp_path):
    net = SMP(**SLIM).half()
    path, state = saved(net, tmp_path), torch.get_rng_state()
    for twin in (loaded(path), copy.deepcopy(net)):
        assert {p.dtype for p in twin.parameters()} == {torch.float16}
        assert twin.training
        assert twin.net is not net.net
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "value"),
    [("encoder", "tu-hf-hub:somebody/something"), ("options", {"checkpoint_path": "/etc/passwd"}), ("arch", "dpt")],
)
def test_a_checkpoint_cannot_ask_for_more_than_a_user(tmp_path, name, value):
    net = SMP(**SLIM)
    setattr(net, name, value)
    with pytest.raises(ConfigError):
        loaded(saved(net, tmp_path))


# -- export ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 48), (37, 50)])
def test_onnx_agrees(size):
    import onnxruntime as ort

    net, x, buffer = SMP(**SLIM, nc=2).eval(), torch.rand(1, 3, *size), io.BytesIO()
    torch.onnx.export(net, (x,), buffer, opset_version=17, input_names=["image"], dynamo=False)
    session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        assert np.abs(session.run(None, {"image": x.numpy()})[0] - net(x).numpy()).max() < 1e-4


# -- wrong arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"arch": "unt"}, "Did you mean 'unet'"),
        ({"arch": "dpt"}, "arch must be one of"),
        ({"encoder": "resnt18"}, "Did you mean 'resnet18'"),
        ({"encoder": "tu-hf-hub:somebody/something"}, "nor tu- and a model of timm"),
        ({"encoder": "tu-swin_tiny_patch4_window7_224"}, "images of any size"),
        ({"encoder": "mit_b0", "arch": "linknet"}, "cannot be built"),
        ({"options": {"depth": 4}}, "options of unet are"),
        ({"options": {"activation": "sigmoid"}}, "options of unet are"),
        ({"options": {"encoder_depth": 9}}, "cannot be built"),
        ({"options": 3}, "cannot be built"),
        ({"weights": "imagnet", "encoder": "resnet18"}, "weights of resnet18 are"),
        ({"backbone": "resnet18"}, "cannot be built"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(args, said):
    with pytest.raises(ConfigError, match=said) as e:
        build_network("SMP", args)
    assert "\n" not in str(e.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingDependencyError, match="segment"):
        SMP()
