"""A chain as an object: what it makes of pictures and boxes, how it is loaded, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from enhancers import Invert, Repeat, Slow, TinyGain, tiny_weights_of, tiny_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.enhance.chain import EnhanceChain, Part, size_note
from rsdet.enhance.chain_json import ChainFile, read_chain_json, write_chain_json
from rsdet.enhance.loading import load_chain
from rsdet.enhance.network import NetworkEnhancer
from rsdet.errors import CheckpointError, ConfigError, DataError


def test_parts_work_one_after_the_other():
    chain = EnhanceChain([Invert(), Repeat(2), Repeat(3)])
    image = np.random.default_rng(0).random((5, 7, 3), dtype=np.float32)
    assert chain.scale == 6
    np.testing.assert_array_equal(chain.apply(image), (1 - image).repeat(6, 0).repeat(6, 1))
    assert list(chain.part_ms) == ["invert", "repeat (2)", "repeat (3)"]
    assert chain.pictures == 1
    assert chain.mean_ms() == chain.part_ms
    assert chain.describe() == "invert (dehaze) -> repeat (superres, x2) -> repeat (superres, x3)"


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.lists(st.tuples(*[st.integers(0, 500)] * 4), max_size=5))
def test_boxes_come_back_exactly(scale, boxes):
    source = np.array(boxes, np.float64).reshape(-1, 4)
    chain = EnhanceChain([Repeat(scale)])
    np.testing.assert_array_equal(chain.to_source(source * scale), source)


def test_eight_bits_in_bgr_go_through_unchanged():
    image = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)  # every value of 8 bits
    np.testing.assert_array_equal(EnhanceChain([Repeat(1)]).apply_bgr(image), image)
    seen = []

    class Look(Repeat):
        def __call__(self, x):
            seen.append(x)
            return x

    EnhanceChain([Look(1)]).apply_bgr(image)
    np.testing.assert_allclose(seen[0], image[..., ::-1] / 255, atol=1e-7)  # enhancers see RGB
    gray = image[..., :1]
    assert EnhanceChain([Repeat(2)]).apply_bgr(gray).shape == (32, 32, 1)
    assert EnhanceChain([Repeat(2)]).apply_bgr(gray[..., 0]).shape == (32, 32)


def test_deep_pictures_are_refused_and_not_cut_to_eight_bits():
    with pytest.raises(DataError, match="uint16"):
        EnhanceChain([Repeat(2)]).apply_bgr(np.zeros((8, 8, 3), np.uint16))


def test_a_network_sees_the_same_as_by_hand_and_takes_batches():
    network = TinyGain(scale=2)
    images = np.random.default_rng(0).random((3, 20, 24, 3), dtype=np.float32)
    enhancer = NetworkEnhancer(network)
    with torch.no_grad():
        wanted = network.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(enhancer(images), wanted, atol=1e-6)
    np.testing.assert_allclose(enhancer(images[1]), wanted[1], atol=1e-6)
    assert (enhancer.scale, enhancer.kind, enhancer.channels, enhancer.local) == (2, "superres", 3, True)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (16, 9)])
def test_pictures_smaller_than_a_network_takes_are_continued_and_cut_back(size):
    image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    out = EnhanceChain([NetworkEnhancer(TinyGain(scale=2))]).apply(image)
    assert out.shape == (size[0] * 2, size[1] * 2, 3)


def test_tiles_are_used_when_asked_for_and_change_nothing():
    image = np.random.default_rng(0).random((80, 100, 3), dtype=np.float32)
    whole = EnhanceChain([NetworkEnhancer(TinyGain())]).apply(image)
    np.testing.assert_allclose(EnhanceChain([NetworkEnhancer(TinyGain())], 48, 16).apply(image), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("parts", "tile", "says"),
    [
        ([], None, "empty"),
        ([Repeat(2, channels=3), Invert(channels=1)], None, "different channels"),
        ([Repeat(2)], -1, "enhance_tile=-1"),
        ([Repeat(2)], 1.5, "enhance_tile=1.5"),
    ],
)
def test_chains_that_cannot_be(parts, tile, says):
    with pytest.raises(ConfigError, match=says):
        EnhanceChain(parts, tile)


def test_what_comes_back_wrong_is_said():
    class Wrong(Repeat):
        def __call__(self, image):
            return image[:-1]

    class Broken(Repeat):
        def __call__(self, image):
            return image * np.nan

    image = np.zeros((20, 20, 3), np.float32)
    with pytest.raises(DataError, match="scale=1"):
        EnhanceChain([Wrong(1)]).apply(image)
    with pytest.raises(DataError, match="NaN"):
        EnhanceChain([Broken(1)]).apply(image)
    with pytest.raises(DataError, match="has 4 channels"):
        EnhanceChain([Invert(channels=3)]).apply(np.zeros((20, 20, 4), np.float32))


def test_channels_and_radar_of_the_detector():
    EnhanceChain([Invert(channels=3)]).check_detector(3)
    with pytest.raises(ConfigError, match="takes 3 channels and the detector 1"):
        EnhanceChain([Invert(channels=3)]).check_detector(1)
    with pytest.raises(ConfigError, match="radar"):
        EnhanceChain([Invert()]).check_detector(3, {"quantity": "amplitude"})
    EnhanceChain([Repeat(2)]).check_detector(3, {"quantity": "amplitude"})


def test_the_order_is_remarked_on(caplog, monkeypatch):
    import logging

    monkeypatch.setattr(logging.getLogger("ultralytics"), "propagate", True)
    with caplog.at_level(logging.INFO):
        EnhanceChain([Repeat(2), Invert()])
        EnhanceChain([Invert(), Repeat(2)])
    lines = {r.message for r in caplog.records if "enlarges before" in r.message}
    assert len(lines) == 1
    assert "4 times the pixels" in lines.pop()


@pytest.mark.parametrize(
    ("scale", "source", "imgsz", "says"),
    [
        (1, (640, 640), 320, None),
        (2, (640, 640), 1280, None),
        (2, (500, 640), 640, "imgsz=1280"),
        (2, (640, 640), (640, 640), "imgsz=1280"),
        (4, (100, 200), 640, "imgsz=800"),  # 200 px x4: no more than that is there
    ],
)
def test_the_size_to_use_is_named(scale, source, imgsz, says):
    note = size_note(EnhanceChain([Repeat(scale)]), source, imgsz)
    assert note is None if says is None else note.endswith(f"{says}.")


def test_minutes_per_picture_are_refused_where_there_are_many():
    with pytest.raises(ConfigError, match=r"hac-moe takes minutes per picture and cannot be used for a video"):
        EnhanceChain([Repeat(2), Slow()]).check_fast("a video")


def test_files_become_a_chain(tmp_path):
    one, two = tiny_weights_of(tmp_path), tiny_weights_of(tmp_path, 2)
    chain = load_chain([str(one), two])
    assert chain.describe() == "tiny-gain-x1-c3 (dehaze) -> tiny-gain-x2-c3 (superres, x2)"
    assert load_chain(f"{one},{two}").describe() == chain.describe()  # as on a command line
    assert load_chain(f"{one},{two}").key == chain.key != load_chain(one).key
    image = np.random.default_rng(0).random((24, 32, 3), dtype=np.float32)
    by_hand = NetworkEnhancer(TinyGain(scale=2))(NetworkEnhancer(TinyGain())(image))
    np.testing.assert_allclose(chain.apply(image), by_hand, atol=1e-3)  # checkpoints are stored in half
    assert load_chain(chain) is chain
    assert load_chain({"model": "bicubic.yaml", "upscale": 3}).scale == 3


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("missing.pt", "do not exist"),
        ("vmc-detr-demo.yaml", "task='detect'"),
        (True, "must be the name"),
        ("", "names nothing"),
        ([], "empty"),
        (np.zeros(3), "is no enhancer"),
        ("no-such.json", "does not exist"),
        ("bicubi", "bicubic"),
    ],
)
def test_what_is_no_chain(spec, says):
    with pytest.raises((ConfigError, CheckpointError), match=says):
        load_chain(spec)


def test_a_network_without_weights_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="without weights"):
        load_chain(tiny_yaml(tmp_path))
    assert load_chain(tiny_yaml(tmp_path), untrained=True).scale == 1


def test_a_chain_file_moves_with_its_folder_and_notices_other_files(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    tiny_weights_of(folder)
    name = "tiny-gain-x1-c3.pt"
    write_chain_json(folder / "chain.json", ChainFile([name, {"model": "bicubic.yaml", "upscale": 2}], enhance_tile=64))
    moved = folder.rename(tmp_path / "b")
    chain = load_chain(moved / "chain.json")
    assert (chain.scale, chain.tile, len(chain.parts)) == (2, 64, 2)
    assert load_chain(moved / "chain.json", tile=128).tile == 128
    text = (moved / "chain.json").read_text()
    (moved / "old.json").write_text(text.replace("enhance_tile", "tile"))  # as it was called before scenes
    assert load_chain(moved / "old.json").tile == 64
    (moved / name).write_bytes((moved / name).read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="is not the file"):
        read_chain_json(moved / "chain.json")
    (moved / name).unlink()
    with pytest.raises(CheckpointError, match="not beside it"):
        read_chain_json(moved / "chain.json")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"rsdet_chain": 1, "enhance": []}', '{"rsdet_chain": 9, "enhance": ["a"]}']
)
def test_files_that_are_no_chain(tmp_path, content):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(ConfigError, match=r"export"):
        read_chain_json(tmp_path / "c.json")


def test_python_objects_have_parts_without_a_source():
    chain = EnhanceChain([Part(Invert())])
    assert chain.parts[0].source is None
    assert json.dumps(chain.key)
