"""HAC-MoE as a whole, with small networks: it fits, repeats itself, goes on, stops when told, and leaves files."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from rsdet.blind import solver as solver_module
from rsdet.blind.enhancer import HACMoE
from rsdet.blind.result import COLUMNS
from rsdet.blind.settings import Settings
from rsdet.data.degrade import build_degradation
from rsdet.data.raster_io import read_image
from rsdet.errors import CheckpointError, ConfigError, DataError
from rsdet.modelyaml import load_model_yaml

SMALL = dict(channels=8, skip=4, kernel_inputs=20, kernel_hidden=40, warmup=10, iters=2, ssim_steps=4)


def _scene(side: int = 64, channels: int = 1) -> np.ndarray:
    """Hills, edges and a little texture."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    z = (
        0.4
        + 0.2 * np.sin(7 * x + 3 * y)
        + 0.2 * ((x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06)
        + 0.05 * rng.random((side, side))
    )
    return np.stack([np.roll(z, 5 * c, 0) for c in range(channels)], -1).astype(np.float32).clip(0, 1)


def _lr(scale: int = 2, side: int = 64, channels: int = 1) -> np.ndarray:
    degrade = build_degradation({"name": "blind", "sigma": 0.005}, scale)
    return degrade(_scene(side, channels), np.random.default_rng(1))


def test_loss_falls_and_the_kernel_is_one():
    result = HACMoE(upscale=2, **{**SMALL, "iters": 5, "ssim_steps": 0, "stop_factor": 0.0}).solve(_lr())
    mse = [row[COLUMNS.index("mse")] for row in result.losses]
    assert len(mse) == 25
    assert np.mean(mse[-5:]) < 0.4 * mse[0]
    assert result.stopped == "finished"
    assert result.kernel.shape == (11, 11)
    assert result.kernel.min() >= 0
    assert result.kernel.sum() == pytest.approx(1, abs=1e-5)
    assert result.image.dtype == np.float32
    assert 0 <= result.image.min() <= result.image.max() <= 1


def test_same_seed_same_result_and_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = (HACMoE(upscale=2, **SMALL).solve(_lr(), seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.kernel, b.kernel)
    assert not np.array_equal(a.image, c.image)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("hw", "scale"), [((17, 23), 3), ((16, 40), 2), ((19, 16), 4)])
def test_any_size_and_scale(hw, scale):
    picture = np.random.default_rng(0).random((*hw, 1), np.float32)
    result = HACMoE(upscale=scale, **{**SMALL, "iters": 1}).solve(picture)
    assert result.image.shape == (hw[0] * scale, hw[1] * scale, 1)
    assert result.kernel.shape == (4 * scale + 3,) * 2


def test_as_an_enhancer_it_works_where_gradients_are_off():
    method = HACMoE(upscale=2, **{**SMALL, "iters": 1})
    with torch.inference_mode():
        inside = method(_lr())
    np.testing.assert_array_equal(inside, method(_lr()))


def test_colours_share_one_kernel():
    result = HACMoE(upscale=2, **{**SMALL, "iters": 1}).solve(_lr(channels=3))
    assert result.image.shape == (64, 64, 3)
    assert result.kernel.ndim == 2


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("settings", [{}, {"ssim_steps": 0, "prior": 2e-4}])
def test_pictures_without_content(value, settings):
    result = HACMoE(upscale=2, **{**SMALL, **settings}).solve(np.full((16, 16, 1), value, np.float32))
    assert np.isfinite(result.image).all()
    assert np.isfinite(result.kernel).all()


@pytest.mark.parametrize("settings", [{"experts": 0}, {"feature": "none"}, {"output": "ema"}, {"output": "best"}])
def test_ablations_and_outputs_differ(settings):
    base = {**SMALL, "stop_factor": 0.0}
    a, b = (HACMoE(upscale=2, **{**base, **s}).solve(_lr()) for s in ({}, settings))
    assert np.isfinite(b.image).all()
    if settings == {"output": "best"}:  # may be the last one
        mse = [row[COLUMNS.index("mse")] for row in b.losses]
        assert (int(np.argmin(mse)) == len(mse) - 1) == np.array_equal(a.image, b.image)
    else:
        assert not np.array_equal(a.image, b.image)


def test_a_known_kernel_is_held_still():
    k = build_degradation({"name": "blind"}, 2).kernel(np.random.default_rng(1))
    result = HACMoE(upscale=2, **SMALL).solve(_lr(), kernel=3 * k)
    np.testing.assert_allclose(result.kernel, k, rtol=1e-5)
    with pytest.raises(DataError, match=r"\(11, 11\)"):
        HACMoE(upscale=2, **SMALL).solve(_lr(), kernel=np.ones((5, 5)))


def test_it_stops_at_the_noise():
    settings = {**SMALL, "iters": 50, "noise_sigma": 0.2}
    assert HACMoE(upscale=2, **settings).solve(_lr()).stopped == "noise level"
    assert len(HACMoE(upscale=2, **settings).solve(_lr()).losses) < 30


def test_it_stops_when_told_and_gives_the_best_so_far():
    seen = []

    def progress(p):
        seen.append(p)
        return not (p.stage == "image" and p.step == 7)

    result = HACMoE(upscale=2, **SMALL).solve(_lr(), progress=progress)
    assert result.stopped == "told to"
    assert result.is_partial
    assert len(result.losses) == 7
    assert "best so far" in result.summary()
    mse = [row[COLUMNS.index("mse")] for row in result.losses]
    cut = HACMoE(upscale=2, **SMALL).solve(_lr(), progress=lambda p: p.stage == "kernel" or p.step <= np.argmin(mse))
    np.testing.assert_array_equal(result.image, cut.image)
    assert [p.stage for p in seen[:10]] == ["kernel"] * 10
    assert seen[-1].steps == 10
    assert seen[-1].seconds_left > 0
    assert "step 7/10, residual" in seen[-1].line()


def test_ctrl_c_gives_the_best_so_far():
    def progress(p):
        if p.stage == "image" and p.step == 3:
            raise KeyboardInterrupt

    result = HACMoE(upscale=2, **SMALL).solve(_lr(), progress=progress)
    assert (result.stopped, len(result.losses), result.is_partial) == ("interrupted", 3, True)


def test_ctrl_c_before_there_is_a_picture_is_passed_on():
    def progress(p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HACMoE(upscale=2, **SMALL).solve(_lr(), progress=progress)


def test_a_time_limit_that_is_too_short_still_gives_a_picture():
    result = HACMoE(upscale=2, time_limit=1e-6, **SMALL).solve(_lr())
    assert result.stopped == "time limit"
    assert len(result.losses) == 1
    assert result.image.shape == (64, 64, 1)


def test_going_on_from_a_checkpoint_equals_not_having_stopped(tmp_path):
    settings = {**SMALL, "stop_factor": 0.0}
    whole = HACMoE(upscale=2, **{**settings, "iters": 4}).solve(_lr(), seed=2)
    first = HACMoE(upscale=2, **{**settings, "iters": 2}).solve(_lr(), seed=2, checkpoint=tmp_path / "a" / "fit.pt")
    assert len(first.losses) == 10
    second = HACMoE(upscale=2, **{**settings, "iters": 4}).solve(_lr(), seed=2, checkpoint=tmp_path / "a" / "fit.pt")
    np.testing.assert_array_equal(second.image, whole.image)
    np.testing.assert_array_equal(second.kernel, whole.kernel)
    assert len(second.losses) == 20
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["fit.pt"]


def test_checkpoints_of_another_fit(tmp_path):
    file = tmp_path / "fit.pt"
    HACMoE(upscale=2, **{**SMALL, "iters": 1}).solve(_lr(), checkpoint=file)
    with pytest.raises(CheckpointError, match="tau"):
        HACMoE(upscale=2, tau=0.7, **SMALL).solve(_lr(), checkpoint=file)
    with pytest.raises(CheckpointError, match="another picture"):
        HACMoE(upscale=2, **SMALL).solve(_lr()[::-1], checkpoint=file)
    state = torch.load(file, weights_only=True)
    name = next(k for k in state["image_net"] if k.endswith("experts"))
    state["image_net"][name] = state["image_net"][name][..., :8, :]  # a grid of eight rows, as it once was
    torch.save(state, file)
    with pytest.raises(CheckpointError, match="another release"):
        HACMoE(upscale=2, **SMALL).solve(_lr(), checkpoint=file)
    file.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        HACMoE(upscale=2, **SMALL).solve(_lr(), checkpoint=file)


def test_a_scene_of_tiles_has_one_kernel_and_no_seams(monkeypatch):
    kernels = []
    init = solver_module.Solver.__init__

    def watch(self, *args, **kwargs):
        kernels.append(kwargs["kernel"])
        init(self, *args, **kwargs)

    monkeypatch.setattr(solver_module.Solver, "__init__", watch)
    lr = np.full((48, 80, 1), 0.5, np.float32)
    lr[:, 50:] += 0.2 * np.random.default_rng(0).random((48, 30, 1), np.float32)
    settings = {**SMALL, "iters": 1, "tile_px": 32, "overlap_px": 8}
    seen = []
    result = HACMoE(upscale=2, **settings).solve(lr, progress=seen.append)
    assert result.image.shape == (96, 160, 1)
    assert kernels[0] is None
    assert len(kernels) == result.tiles + 1 == 7
    for k in kernels[1:]:
        np.testing.assert_array_equal(k, result.kernel)
    assert {(p.tile, p.tiles) for p in seen} == {(i, 7) for i in range(1, 8)}
    assert {row[0] for row in result.losses} == set(range(7))
    assert result.tiles_missing == 0


def test_a_time_limit_is_shared_out_among_the_tiles_that_are_left(monkeypatch):
    limits = []
    run = solver_module.Solver.run

    def watch(self, progress, limit_s):
        limits.append(limit_s)
        return run(self, progress, limit_s=limit_s)

    monkeypatch.setattr(solver_module.Solver, "run", watch)
    settings = {**SMALL, "iters": 1, "tile_px": 32, "overlap_px": 8, "time_limit": 9e6}
    HACMoE(upscale=2, **settings).solve(_lr(2, 96))
    fits = [9e6 / left for left in range(len(limits), 0, -1)]  # the time that passes here is nothing beside the limit
    assert len(limits) == 5
    assert limits == pytest.approx(fits, rel=1e-3)


def test_tiles_left_undone_are_bicubic_and_said_so():
    lr, settings = _lr(2, 160), {**SMALL, "iters": 1, "tile_px": 48, "overlap_px": 8}
    result = HACMoE(upscale=2, **settings).solve(lr, progress=lambda p: p.tile < 3)
    assert result.stopped == "told to"
    assert (result.tiles, result.tiles_missing) == (4, 2)
    assert "2 of 4 tiles only bicubic" in result.summary()
    with pytest.raises(DataError, match="tile_px"):
        HACMoE(upscale=2, **settings).solve(lr, checkpoint="x.pt")


def test_the_kernel_comes_from_the_most_textured_tile():
    from rsdet.blind.tiles import most_textured

    picture = np.zeros((100, 90, 1), np.float32)
    picture[60:95, 10:40] = np.random.default_rng(0).random((35, 30, 1), np.float32)
    rows, columns = most_textured(picture, 40)
    assert rows.stop - rows.start == columns.stop - columns.start == 40
    assert picture[rows, columns].sum() > 0.75 * picture.sum()


def test_files(tmp_path):
    result = HACMoE(upscale=2, **SMALL).solve(_lr())
    files = result.save(tmp_path / "out", "ceres")
    assert [f.name for f in files] == [
        "ceres.png", "ceres-kernel.npy", "ceres-kernel.png", "ceres-losses.csv", "ceres-losses.png",
    ]  # fmt: skip
    picture, meta = read_image(files[0])
    assert meta.dtype == "uint16"
    np.testing.assert_allclose(picture, result.image, atol=1e-4)
    np.testing.assert_array_equal(np.load(files[1], allow_pickle=False), result.kernel)
    rows = list(csv.reader(files[3].open()))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 11
    for picture in (files[2], files[4]):
        assert min(read_image(picture)[0].shape[:2]) > 200


def test_settings_are_those_of_the_yaml():
    from dataclasses import asdict

    d = load_model_yaml("hac-moe.yaml")
    assert (d["family"], d["kind"], d["method"], d["task"]) == ("per-image", "superres", "HACMoE", "restore")
    assert d["vars"] == asdict(Settings())
    assert HACMoE(**d["vars"]).scale == 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"upscale": 5}, "from 2 to 4"),
        ({"upscale": 2.5}, "whole number"),
        ({"iters": 0}, "iters"),
        ({"image_lr": True}, "image_lr"),
        ({"feature": "clib"}, "Did you mean 'clip'"),
        ({"feature": "clip"}, "feature=pyramid"),
        ({"experts": "4"}, "experts"),
        ({"cks": 1}, "true or false"),
        ({"kernel_px": 8}, "odd"),
        ({"alpha_min": 0.99, "alpha_max": 0.8}, "below alpha_max"),
        ({"overlap_px": 128, "tile_px": 256}, "overlap_px"),
        ({"iterations": 9}, "iter"),
    ],
)
def test_wrong_settings(settings, says):
    with pytest.raises(ConfigError, match=says):
        HACMoE(**settings)


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (np.zeros((12, 40, 1), np.float32), "too small"),
        (np.zeros((40, 40, 1), np.uint8), "floating point"),
        (np.full((40, 40, 1), np.nan, np.float32), "from 0 to 1"),
        (np.full((40, 40, 1), 200.0, np.float32), "from 0 to 1"),
        (np.zeros((2, 40, 40, 1), np.float32), r"\(h, w, C\)"),
    ],
)
def test_wrong_pictures(picture, says):
    with pytest.raises(DataError, match=says):
        HACMoE(upscale=2, **SMALL).solve(picture)


def _steps(adam: torch.optim.Adam) -> int:
    state = list(adam.state.values())
    return int(state[0]["step"]) if state else 0


def test_steps_are_those_of_algorithm_1(monkeypatch):
    settings = Settings(upscale=2, **{**SMALL, "samples": 3, "stop_factor": 0.0})
    solver = solver_module.Solver(_lr(), settings)
    drawn, sample = [], solver.sampler.sample
    monkeypatch.setattr(solver.sampler, "sample", lambda: drawn.append(sample()) or drawn[-1])
    solver.run()
    assert len(drawn) == 10 + 2 * 3  # warm-up, then T in each of N
    assert _steps(solver.kernel_adam) == 10 + 2 + 2  # Eq. 7 in the warm-up and in each outer step, Eq. 10
    assert _steps(solver.image_adam) == 2 * 5


def test_only_the_meta_step_moves_the_kernel_by_the_picture():
    settings = Settings(upscale=2, **{**SMALL, "samples": 0, "warmup": 0, "iters": 1, "stop_factor": 0.0})
    solver = solver_module.Solver(_lr(), settings)
    before = [p.detach().clone() for p in solver.kernel_net.parameters()]
    solver._inner_step(solver.kernel_net(solver.z_k).detach(), 0, 0.0)
    assert all(p.grad is None for p in solver.kernel_net.parameters())
    solver.run()
    after = list(solver.kernel_net.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert _steps(solver.kernel_adam) == 1


def test_the_warm_up_brings_the_kernel_to_the_population():
    settings = Settings(upscale=2, **{**SMALL, "warmup": 300, "kernel_lr": 1e-3, "iters": 1})
    solver = solver_module.Solver(_lr(), settings)
    with torch.no_grad():
        before = solver.kernel_net(solver.z_k).numpy()
    solver._warm_up()
    with torch.no_grad():
        after = solver.kernel_net(solver.z_k).numpy()
    mean = np.mean([solver.sampler.sample() for _ in range(200)], axis=0)
    assert np.mean((after - mean) ** 2) < 0.05 * np.mean((before - mean) ** 2)
