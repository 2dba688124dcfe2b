"""Pairs: found by name, checked all at once, cut and turned as one, the same sample in every worker."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from fakes import put_in_place
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from rsdet.data.degrade import Degradation, build_degradation
from rsdet.data.degrade.resize import imresize
from rsdet.data.pairs import Pair, read_pair_data
from rsdet.data.pairs.check import ratio_of
from rsdet.data.pairs.crops import cut, turn
from rsdet.data.pairs.dataset import PairDataset, PairSampler, collate
from rsdet.data.pairs.matching import Problems, match
from rsdet.errors import ConfigError, DataError, RSDetError

RNG = np.random.default_rng(7)


def save(path, raw):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), raw[..., ::-1] if raw.ndim == 3 and raw.shape[2] == 3 else raw)
    return path


def noise(h, w, c=3, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, (h, w, c) if c > 1 else (h, w), dtype, endpoint=True)


def make(root, *, pairs, input="{}_real_A.png", target="{}_real_B.png", scale=1, size=(20, 24), dtype=np.uint8, **more):
    """A set of pairs whose targets are random and whose inputs are the targets shrunk by taking every s-th pixel."""
    for split, keys in pairs.items():
        for key in keys:
            big = noise(size[0] * scale, size[1] * scale, dtype=dtype)
            save(root / split / "clear" / target.format(key), big)
            save(root / split / "cloudy" / input.format(key), np.ascontiguousarray(big[::scale, ::scale]))
    content = {
        "task": "restore", "kind": "dehaze", "path": str(root),
        **{s: {"input": f"{s}/cloudy", "target": f"{s}/clear"} for s in pairs},
        "pairing": {"input": "(.+)_real_A", "target": "(.+)_real_B"}, **more,
    }  # fmt: skip
    path = root / "data.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


def as_hwc(tensor):
    return tensor.numpy().transpose(1, 2, 0)


def test_pairs_are_matched_by_the_group_of_the_pattern(tmp_path):
    data = read_pair_data(make(tmp_path, pairs={"train": ["3", "12", "x y"], "val": ["4"]}))
    assert {p.key: (p.input.name, p.target.name) for p in data.split("train")} == {
        k: (f"{k}_real_A.png", f"{k}_real_B.png") for k in ("3", "12", "x y")
    }
    assert (data.scale, data.kind, data.channels) == (1, "dehaze", 3)
    with pytest.raises(DataError, match="has no test:"):
        data.split("test")


def test_everything_wrong_is_said_at_once(tmp_path):
    path = make(tmp_path, pairs={"train": [str(i) for i in range(9)], "val": ["a"]})
    clear, cloudy = tmp_path / "train" / "clear", tmp_path / "train" / "cloudy"
    for i in range(5):
        (clear / f"{i}_real_B.png").unlink()
    save(cloudy / "odd.png", noise(20, 24))
    (clear / "7_real_B.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    save(clear / "8_real_B.png", noise(20, 25))
    save(tmp_path / "val" / "clear" / "single_real_B.png", noise(20, 24))
    with pytest.raises(DataError) as e:
        read_pair_data(path)
    text = str(e.value)
    assert "\n" not in text
    for part in (
        "5 inputs without target: 0_real_A.png, 1_real_A.png, 2_real_A.png and 2 more",
        "1 inputs whose names do not fit pairing: odd.png",
        "1 targets without input: single_real_B.png",
        "7_real_B.png is not a readable image",
        "8_real_A.png (24x20 and 25x20)",
        "unpaired: ignore",
    ):
        assert part in text, part


def test_a_file_of_two_splits_counts_once(tmp_path, caplog):
    path = make(tmp_path, pairs={"train": ["1", "2", "3"]}, val={"input": "./train/cloudy", "target": "train/clear"})
    (tmp_path / "train" / "clear" / "1_real_B.png").unlink()
    save(tmp_path / "train" / "clear" / "odd.png", noise(20, 24))
    with pytest.raises(DataError, match=r"1 targets whose names .*odd\.png; 1 inputs without .*A\.png \(of 3\)"):
        read_pair_data(path)
    path.write_text(path.read_text() + "unpaired: ignore\n")
    with caplog.at_level(logging.WARNING, "rsdet"):
        read_pair_data(path)
    assert "2 pictures without partner" in caplog.text


def test_unpaired_ignore_goes_on_with_the_rest(tmp_path, caplog):
    path = make(tmp_path, pairs={"train": ["1", "2", "3"]}, unpaired="ignore")
    (tmp_path / "train" / "clear" / "1_real_B.png").unlink()
    with caplog.at_level(logging.WARNING, "rsdet"):
        assert [p.key for p in read_pair_data(path).split("train")] == ["2", "3"]
    assert "1 pictures without partner" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"task": "detect"}, ConfigError, "is for task=detect, the model for task=restore"),
        ({"kind": "dehazing"}, ConfigError, "kind must be one of"),
        ({"pairing": {"input": "(.+", "target": "(.+)"}}, ConfigError, "no regular expression"),
        ({"pairing": {"input": "x", "target": "(.+)"}}, ConfigError, "has no group"),
        ({"pairing": "(.+)"}, ConfigError, "pairing must be a mapping"),
        ({"train": {"input": "train/cloudy"}}, ConfigError, "train must be"),
        ({"train": {"target": "train/clear"}}, ConfigError, "names no input"),
        ({"train": "train/clear", "degrade": {"name": "fog"}}, ConfigError, "degrade: name must be one of"),
        ({"train": "train/clear", "degrade": [1]}, ConfigError, "degrade must be a mapping"),
        ({"train": {"input": "nowhere", "target": "train/clear"}}, DataError, "nowhere does not exist"),
        ({"train": {"input": "train", "target": "empty"}}, DataError, "no pictures"),
        ({"train": {"input": 5, "target": "train/clear"}}, ConfigError, "received 5"),
        ({"train": None}, ConfigError, "has none of train, val, test"),
        ({"range": [5, 1]}, ConfigError, "range must be two numbers"),
        ({"channels": 0}, ConfigError, "channels must be"),
        ({"channels": 4}, DataError, "has 3 channels, 4 are needed"),
        ({"bands": [4, 1]}, DataError, "has 3 bands, bands= asks for 4"),
        ({"bands": 3}, ConfigError, "bands must be a list"),
        ({"bands": [0]}, ConfigError, "bands must be a list"),
        ({"unpaired": "no"}, ConfigError, "unpaired must be"),
    ],
)
def test_wrong_yamls(tmp_path, change, error, says):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=says) as e:
        read_pair_data(make(tmp_path, pairs={"train": ["1", "2"]}, **change))
    assert "\n" not in str(e.value)


def test_a_detection_set_is_told_apart(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "d.yaml").write_text(f"path: {tmp_path}\ntrain: images\nval: images\nnames: {{0: car}}\n")
    with pytest.raises(ConfigError, match=r"names no input; add input: .* or degrade:"):
        read_pair_data(tmp_path / "d.yaml")


@pytest.mark.parametrize(
    ("small", "big", "ratio"),
    [
        ((20, 30), (20, 30), 1), ((20, 30), (40, 60), 2), ((20, 30), (41, 61), 2), ((20, 30), (80, 123), 4),
        ((20, 30), (42, 60), None), ((20, 30), (40, 90), None), ((20, 30), (21, 30), None), ((20, 30), (10, 15), None),
        ((20, 30), (62, 92), 3),
    ],
)  # fmt: skip
def test_ratio(small, big, ratio):
    assert ratio_of(small, big) == ratio


@pytest.mark.parametrize("scale", [2, 3])
def test_scale_of_the_set_against_that_of_the_model(tmp_path, scale):
    path = make(tmp_path, pairs={"train": ["1", "2"]}, scale=scale)
    assert read_pair_data(path).scale == scale
    assert read_pair_data(path, scale=scale).scale == scale
    with pytest.raises(DataError, match=r"2 pairs whose target is not x4 of the input: 1_real_A.png \(24x20 and"):
        read_pair_data(path, scale=4)


def test_lists_subfolders_and_equal_names(tmp_path):
    for cls in ("airport", "beach"):
        for i in range(2):
            save(tmp_path / "hr" / cls / f"{i}.png", noise(16, 16))
            save(tmp_path / "lr" / cls / f"{i}.jpg", noise(8, 8))
    (tmp_path / "train.txt").write_text("hr/airport/0.png\n\nhr/beach/1.png\n")
    (tmp_path / "d.yaml").write_text(
        "task: restore\nval: {input: lr, target: hr}\ntrain: train.txt\ndegrade: bicubic\ntest: [hr/beach]\n"
    )
    data = read_pair_data(tmp_path / "d.yaml", scale=2)
    assert sorted(p.key for p in data.split("val")) == ["airport/0", "airport/1", "beach/0", "beach/1"]
    assert all(p.input.parent.name == p.target.parent.name for p in data.split("val"))
    assert [p.target.name for p in data.split("train")] == ["0.png", "1.png"]
    assert len(data.split("test")) == 2


def test_equal_names_with_other_suffixes_are_not_guessed(tmp_path):
    path = make(tmp_path, pairs={"train": ["1"]}, pairing=None, input="{}.png", target="{}.png")
    save(tmp_path / "train" / "clear" / "1.jpg", noise(20, 24))
    with pytest.raises(DataError, match="targets with a key that another has"):
        read_pair_data(path)


def test_sixteen_bit_pairs_keep_their_depth(tmp_path):
    path = make(tmp_path, pairs={"train": ["1"]}, dtype=np.uint16)
    pairs = read_pair_data(path).split("train")
    for cache in ("none", "ram", "disk"):
        item = PairDataset(pairs, cache=cache, cache_dir=tmp_path / "cache")[0]
        raw = cv2.imread(str(pairs[0].target), cv2.IMREAD_UNCHANGED)[..., ::-1]
        np.testing.assert_array_equal(np.rint(as_hwc(item["target"]) * 65535), raw)
        assert len(np.unique(np.rint(as_hwc(item["target"]) * 65535) % 256)) > 200  # the lower bits are there


def test_alpha_is_left_out_with_one_note(tmp_path, caplog):
    path = make(tmp_path, pairs={"train": ["1", "2"]})
    for p in (tmp_path / "train" / "cloudy").iterdir():
        cv2.imwrite(str(p), noise(20, 24, 4))
    with caplog.at_level(logging.WARNING, "rsdet"):
        data = read_pair_data(path)
    assert len(caplog.records) == 1
    assert "2 files have an alpha channel" in caplog.text
    assert PairDataset(data.split("train"))[0]["img"].shape == (3, 20, 24)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_files_cut_short_are_found_before_the_training(tmp_path, suffix):
    path = make(tmp_path, pairs={"train": list("abcde")}, input=f"{{}}_real_A.{suffix}", size=(64, 64))
    for key in "bd":
        cut_file = tmp_path / "train" / "cloudy" / f"{key}_real_A.{suffix}"
        cut_file.write_bytes(cut_file.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"2 files that cannot be used: b_real_A.*d_real_A"):
        read_pair_data(path)


def test_all_pictures_that_cannot_be_decoded_are_named(tmp_path):
    pairs = [Pair(str(i), p := save(tmp_path / f"{i}.png", noise(64, 64)), p) for i in range(6)]
    for pair in pairs[:5]:  # whole by its ends, damaged in the middle
        data = pair.input.read_bytes()
        pair.input.write_bytes(data[:60] + bytes(200) + data[260:])
    with pytest.raises(DataError, match=r"5 of 6 pictures cannot be used: .*0\.png.*2\.png.*\(and 2 more\)") as e:
        PairDataset(pairs, cache="ram")
    assert "\n" not in str(e.value)


def test_pictures_in_train_and_val_are_remarked_on(tmp_path, caplog):
    path = make(tmp_path, pairs={"train": ["1", "2"]}, val={"input": "train/cloudy", "target": "train/clear"})
    with caplog.at_level(logging.WARNING, "rsdet"):
        read_pair_data(path)
    assert "2 pictures are in train and in val" in caplog.text


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.text("ab19_-. ", min_size=1, max_size=6), min_size=1, max_size=12, unique=True),
    lost=st.sets(st.integers(0, 11)), spare=st.sets(st.integers(0, 11)), seed=st.integers(0, 99),
)  # fmt: skip
def test_matching_is_a_join_of_the_keys(keys, lost, spare, seed):
    order = np.random.default_rng(seed).permutation(len(keys))
    inputs = [(Path(f"/i/{keys[i]}_A.png"), Path("/i")) for i in range(len(keys)) if i not in spare]
    targets = [(Path(f"/t/{keys[i]}_B.tif"), Path("/t")) for i in order if i not in lost]
    problems = Problems()
    pairs = match(inputs, targets, {"input": "(.+)_A", "target": "(.+)_B"}, problems)
    has_input, has_target = ({k for i, k in enumerate(keys) if i not in gone} for gone in (spare, lost))
    assert {p.key for p in pairs} == has_input & has_target
    assert all(p.input.stem == f"{p.key}_A" and p.target.stem == f"{p.key}_B" for p in pairs)
    said = {kind: len(items) for kind, items in problems.found.items()}
    want = {"inputs without target": len(has_input - has_target), "targets without input": len(has_target - has_input)}
    assert said == {kind: n for kind, n in want.items() if n}


# -- geometry


@given(st.integers(1, 30), st.integers(1, 30), st.integers(-40, 40), st.integers(-40, 40), st.integers(1, 50))
def test_cut_is_numpy_symmetric_padding(h, w, y, x, n):
    image = np.arange(h * w).reshape(h, w, 1)
    reach = 100
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(cut(image, y, x, n, n), padded[y + reach : y + reach + n, x + reach : x + reach + n])


@settings(max_examples=60, deadline=None)
@given(
    scale=st.integers(1, 4),
    h=st.integers(3, 24),
    w=st.integers(3, 24),
    patch=st.integers(1, 32),
    seed=st.integers(0, 999),
)
def test_patches_of_a_pair_stay_aligned(scale, h, w, patch, seed):
    # Each input pixel holds its own place and each target pixel that of the input pixel above it: any shift shows.
    places = np.stack([*np.meshgrid(np.arange(h), np.arange(w), indexing="ij"), np.zeros((h, w))], -1) / 255
    big = places.repeat(scale, 0).repeat(scale, 1)
    data = PairDataset([Pair("a", "in", "out")], scale=scale, patch_px=patch, augment=True, seed=seed)
    data.store.get = {"in": places.astype(np.float32), "out": big.astype(np.float32)}.get
    for epoch in range(3):
        item = data[epoch]
        assert item["img"].shape == (3, patch, patch)
        np.testing.assert_array_equal(item["target"].numpy(), item["img"].numpy().repeat(scale, 1).repeat(scale, 2))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_turning_loses_nothing(turns, flip):
    image = noise(5, 7).astype(np.float32)
    out = turn(image, turns, flip)
    back = np.rot90(out[:, ::-1] if flip else out, -turns)
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("spec", ["bicubic", "bilinear", {"name": "bicubic", "antialias": False}])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_patches_equal_those_of_the_whole_degraded_picture(tmp_path, spec, scale):
    target = save(tmp_path / "a.png", noise(16 * scale + 1, 20 * scale + scale - 1))  # the scale does not divide
    degrade = build_degradation(spec, scale)
    whole = PairDataset([Pair("a", None, target)], scale=scale, degrade=degrade)[0]
    assert whole["img"].shape == (3, 16, 20)
    assert whole["target"].shape == (3, 16 * scale, 20 * scale)
    data = PairDataset([Pair("a", None, target)], scale=scale, degrade=degrade, patch_px=6)
    places = set()
    for epoch in range(25):
        item = data[epoch]
        found = [
            (y, x) for y in range(11) for x in range(15)
            if torch.allclose(item["img"], whole["img"][:, y : y + 6, x : x + 6], atol=1e-6)
        ]  # fmt: skip
        assert len(found) == 1
        (y, x), s = found[0], scale
        places.add(found[0])
        torch.testing.assert_close(item["target"], whole["target"][:, y * s : (y + 6) * s, x * s : (x + 6) * s])
    assert len(places) > 15
    assert {0, 10} & {y for y, _ in places}  # border patches as well


def test_made_inputs_are_rounded_to_the_depth_of_the_file(tmp_path):
    for dtype, full in ((np.uint8, 255), (np.uint16, 65535)):
        target = save(tmp_path / f"{full}.png", noise(16, 16, dtype=dtype))
        for bits, levels in (("source", full), (8, 255), (None, None)):
            degrade = build_degradation({"name": "bicubic", "bits": bits}, 2)
            img = as_hwc(PairDataset([Pair("a", None, target)], scale=2, degrade=degrade)[0]["img"]).astype(np.float64)
            exact = np.clip(imresize(as_hwc(PairDataset([Pair("a", target, target)])[0]["img"]), 0.5), 0, 1)
            if levels is None:
                np.testing.assert_allclose(img, exact, atol=1e-6)
            else:
                np.testing.assert_allclose(img * levels, np.rint(img * levels), atol=1e-2)
                np.testing.assert_allclose(img, exact, atol=0.51 / levels)


def test_scale_that_does_not_divide_cuts_the_target(tmp_path):
    small = save(tmp_path / "in.png", noise(10, 12))
    big = save(tmp_path / "out.png", noise(31, 38))
    item = PairDataset([Pair("a", small, big)], scale=3)[0]
    assert item["target"].shape == (3, 30, 36)
    assert item["ori_shape"] == (10, 12)


def test_pictures_smaller_than_the_patch_are_mirrored(tmp_path):
    target = save(tmp_path / "a.png", noise(10, 50))
    item = PairDataset([Pair("a", target, target)], patch_px=32)[0]
    raw = as_hwc(item["img"])
    np.testing.assert_array_equal(raw[10:20], raw[9::-1])


# -- randomness


class _Noise(Degradation):
    is_random, bits = True, None

    def __call__(self, clear, rng):
        return np.clip(clear + rng.normal(0, 0.1, clear.shape), 0, 1).astype(np.float32)


def _set(tmp_path, n=7, **more):
    pairs = [Pair(str(i), None, save(tmp_path / f"{i}.png", noise(24, 24))) for i in range(n)]
    return PairDataset(pairs, degrade=_Noise(), patch_px=8, augment=True, **more)


def _all(data, epochs, workers, world=1):
    out = {}
    for rank in range(world):
        sampler = PairSampler(len(data), seed=1, rank=rank, world=world)
        loader = DataLoader(data, 2, sampler=sampler, num_workers=workers, collate_fn=collate)
        for epoch in range(epochs):
            for batch in loader:
                for name, img in zip(batch["im_file"], batch["img"], strict=True):
                    out.setdefault((epoch, name), img)
    return out


def test_samples_are_the_same_with_any_number_of_workers_and_ranks(tmp_path):
    data = _set(tmp_path)
    alone, four, ranks = _all(data, 2, 0), _all(data, 2, 2), _all(data, 2, 0, world=2)
    assert len(alone) == 14
    for key, img in alone.items():
        torch.testing.assert_close(four[key], img, rtol=0, atol=0)
        torch.testing.assert_close(ranks[key], img, rtol=0, atol=0)
    name = data.pairs[0].target
    assert not torch.equal(alone[0, str(name)], alone[1, str(name)])  # another epoch, another patch and noise


def test_seed_and_resume(tmp_path):
    data, other = _set(tmp_path), _set(tmp_path, seed=1)
    assert not torch.equal(data[0]["img"], other[0]["img"])
    torch.testing.assert_close(data[3]["img"], pickle.loads(pickle.dumps(data))[3]["img"])
    sampler = PairSampler(7, seed=5)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == list(range(7))
    assert sorted(second) == list(range(7, 14))
    assert [i - 7 for i in second] != first
    assert list(PairSampler(7, seed=5, start_epoch=1)) == second


def test_repeats_draw_other_patches(tmp_path):
    data = _set(tmp_path)
    sampler = PairSampler(7, repeats=3)
    one, two = list(sampler), list(sampler)
    assert len(one) == len(sampler) == 21
    assert not set(one) & set(two)
    assert sorted(i % 7 for i in one) == sorted(list(range(7)) * 3)
    assert len({data[i]["img"].numpy().tobytes() for i in one if i % 7 == 0}) == 3


def test_every_rank_gets_as_many(tmp_path):
    taken = [list(PairSampler(10, seed=2, rank=r, world=4)) for r in range(4)]
    assert {len(t) for t in taken} == {3}
    assert {i for t in taken for i in t} == set(range(10))


# -- cache


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_caches_give_what_decoding_gives(tmp_path, cache):
    plain = _set(tmp_path)
    kept = PairDataset(plain.pairs, degrade=_Noise(), patch_px=8, augment=True, cache=cache, cache_dir=tmp_path / "c")
    for i in range(14):
        torch.testing.assert_close(kept[i]["img"], plain[i]["img"], rtol=0, atol=0)


def test_disk_cache_follows_a_changed_file_and_leaves_no_parts(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((12, 12, 3), np.uint8))
    make_set = lambda: PairDataset([Pair("a", path, path)], cache="disk", cache_dir=tmp_path / "c")  # noqa: E731
    assert make_set()[0]["img"].max() == 0
    save(path, np.full((13, 12, 3), 255, np.uint8))
    assert make_set()[0]["img"].min() == 1
    put_in_place(save(tmp_path / "b.png", np.full((13, 12, 3), 254, np.uint8)), path)  # of the same size and time
    assert make_set()[0]["img"].max() < 1
    put_in_place(save(tmp_path / "b.png", np.full((13, 12, 3), 255, np.uint8)), path)
    assert {p.suffix for p in (tmp_path / "c").iterdir()} == {".npy"}
    for content in (b"", b"\x93NUMPY", pickle.dumps([1])):  # of a full disk, or planted
        for kept in (tmp_path / "c").iterdir():
            kept.write_bytes(content or kept.read_bytes()[:-9])
        assert make_set()[0]["img"].shape[1:] == (13, 12)
        assert make_set()[0]["img"].min() == 1


def test_too_much_for_the_memory_falls_back(tmp_path, monkeypatch, caplog):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 1000}))
    with caplog.at_level(logging.WARNING, "rsdet"):
        data = _set(tmp_path, cache="ram")
    assert data.store.cache == "none"
    assert "use cache=disk" in caplog.text
    assert data[0]["img"].shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"patch_px": 0}, "patch must be"), ({"cache": "gpu"}, "cache must be one of"),
        ({"scale": 2}, "shrinks by 1 and the model enlarges by 2"), ({"degrade": None}, "has no input"),
    ],
)  # fmt: skip
def test_wrong_arguments(tmp_path, args, says):
    pairs = [Pair("a", None, save(tmp_path / "a.png", noise(8, 8)))]
    with pytest.raises(ConfigError, match=says):
        PairDataset(pairs, **{"degrade": _Noise(), **args})


def test_batches_of_unequal_pictures_are_one_line(tmp_path):
    pairs = [Pair(str(i), p := save(tmp_path / f"{i}.png", noise(8 + i, 8)), p) for i in range(2)]
    data = PairDataset(pairs)
    with pytest.raises(RSDetError, match=r"2 sizes \(8x8, 8x9\).*batch=1"):
        collate([data[0], data[1]])


@pytest.mark.parametrize("name", ["rice1", "rice2"])
def test_real_pairs(shared_data, tmp_path, name):
    (tmp_path / "d.yaml").write_text(
        f"task: restore\npath: {shared_data / name}\nval: {{input: cloudy, target: clear}}\n"
        "pairing: {input: '(.+)_real_A', target: '(.+)_real_B'}\n"
    )
    data = read_pair_data(tmp_path / "d.yaml", scale=1)
    assert len(data.split("val")) == {"rice1": 60, "rice2": 30}[name]
    batch = collate([PairDataset(data.split("val"))[i] for i in range(4)])
    assert batch["img"].shape == batch["target"].shape == (4, 3, 256, 256)
    assert 0.02 < (batch["img"] - batch["target"]).abs().mean() < 0.3
