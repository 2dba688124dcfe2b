"""Pictures of routing: colours that can be told apart, shares that are right, errors that say what is wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from rsdet.errors import ConfigError, DataError, WriteError
from rsdet.nn.edsr import EDSR
from rsdet.nn.mfg_hmoe import MFGHMoE
from rsdet.tasks.restore.routes import draw_routes, expert_colours, routes_of, save_routes

NAMES = [f"{k}x{k} #{j + 1}" for k in (1, 3) for j in range(8)]


class Halves:
    """A network that routes by brightness, pixel by pixel: it does not matter to it where tiles end."""

    def __init__(self):
        self.sizes = set()

    def parameters(self):
        return iter([torch.zeros(1)])

    def routes(self, x):
        self.sizes.add(tuple(x.shape[2:]))
        return (x[:, 0] * 16).long().clamp(max=15)


@pytest.mark.parametrize("size", [(50, 70), (16, 33), (10, 12)])
def test_tiles_put_together_are_the_whole(size):
    network, image = Halves(), np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    want = np.minimum(image[..., 0] * 16, 15).astype(int)
    assert np.array_equal(routes_of(network, image, tile_px=16, overlap_px=6), want)
    assert all(max(s) <= 16 for s in network.sizes)


def test_routes_of_a_network_are_its_own():
    net = MFGHMoE(2, dim=12, groups=1, depth=1, heads=2, window=8, features=8).eval()
    image = np.random.default_rng(0).random((21, 30, 3)).astype(np.float32)
    want = net.routes(torch.from_numpy(image.transpose(2, 0, 1))[None])[0].numpy()
    assert np.array_equal(routes_of(net, image), want)
    with pytest.raises(ConfigError, match="EDSR has no experts"):
        routes_of(EDSR(2, 4, 1), image)


@pytest.mark.parametrize("sizes", [(8, 8), (5, 6, 5), (16,), (32,), (1, 1)])
def test_colours_differ(sizes):
    colours = expert_colours(sizes).astype(int)
    assert colours.shape == (sum(sizes), 3)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(len(colours), dtype=int)
    assert apart.min() > 15


def test_the_two_groups_of_the_paper_have_different_hues():
    hue = cv2.cvtColor(expert_colours((8, 8))[None], cv2.COLOR_RGB2HSV)[0, :, 0].astype(int) * 2
    assert ((hue[:8] > 150) & (hue[:8] < 275)).all()
    assert ((hue[8:] < 90) | (hue[8:] > 335)).all()


def test_pixels_keep_their_place_and_the_image_stands_beside(tmp_path):
    routes = np.arange(40 * 60).reshape(40, 60) % 16
    image = np.random.default_rng(0).random((40, 60, 3)).astype(np.float32)
    picture = draw_routes(routes, NAMES, (8, 8), image)
    zoom, colours = round(320 / 60), expert_colours((8, 8))
    at = 60 * zoom + 6
    assert np.array_equal(picture[: 40 * zoom : zoom, at : at + 60 * zoom : zoom], colours[routes])
    assert np.array_equal(picture[: 40 * zoom : zoom, : 60 * zoom : zoom], np.round(image * 255).astype(np.uint8))
    path = save_routes(tmp_path / "routes.png", routes, NAMES, (8, 8), image)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], picture)
    gray = draw_routes(routes, NAMES, (8, 8), image[..., 0])
    assert gray.shape == picture.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"routes": np.full((4, 4), 16)}, "values up to 16"),
        ({"routes": np.zeros((1, 4, 4), int)}, "one map"),
        ({"names": NAMES[:8]}, "number of names"),
        ({"image": np.zeros((4, 5, 3))}, "beside routes"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, said):
    good = {"routes": np.zeros((4, 4), int), "names": NAMES, "sizes": (8, 8)}
    with pytest.raises(DataError, match=said):
        draw_routes(**(good | change))


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "routes.png", tmp_path / "routes"):
        with pytest.raises((DataError, WriteError), match=r"written|end as a picture"):
            save_routes(path, np.zeros((4, 4), int), NAMES, (8, 8))


def test_predict_writes_them_beside_the_picture(tmp_path):
    from rsdet import RSDet

    source = tmp_path / "field.png"
    cv2.imwrite(str(source), np.random.default_rng(0).integers(0, 256, (24, 33, 3), np.uint8))
    to = dict(source=source, save=True, project=str(tmp_path / "runs"), name="p", verbose=False)
    RSDet("mfg-hmoe-t.yaml").save(tmp_path / "m.pt")
    RSDet(tmp_path / "m.pt").predict(save_routes=True, **to)
    assert {p.name for p in (tmp_path / "runs" / "p").iterdir()} == {"field.png", "field_routes.png"}
    for name, value, said in (("bicubic.yaml", True, "no experts"), (str(tmp_path / "m.pt"), "yes", "True or False")):
        with pytest.raises(ConfigError, match=said):
            RSDet(name).predict(save_routes=value, **to)
