"""Each method is the sum that it says it is, of views that hold what they say, and learns two pictures by heart."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from references import semi as written
from torch import nn

from rsdet.data.semi.augin import augin
from rsdet.data.semi.mixing import Mix
from rsdet.errors import ConfigError
from rsdet.losses.ema_teacher import EMATeacher
from rsdet.losses.feature_dropout import feature_dropout, named_layers
from rsdet.losses.semi import SemiMethod
from rsdet.losses.semi_settings import METHODS, SemiSettings, method_settings

SIZE = 12
RNG = np.random.default_rng


class Net(nn.Module):
    """An encoder and a classifier, that remember what they saw and said with a gradient."""

    def __init__(self, bands: int = 3, classes: int = 3, width: int = 4, norm: bool = False):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(bands, width, 3, padding=1), nn.BatchNorm2d(width) if norm else nn.Identity(), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width) if norm else nn.Identity(), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(width, classes, 1)
        self.seen: list[torch.Tensor] = []
        self.said: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.head(self.encoder(x))
        if torch.is_grad_enabled():
            self.seen.append(x.detach())
            self.said.append(y.detach())
        return y


def numbered(count: int, bands: int = 3) -> torch.Tensor:
    """Pictures of which every pixel is another number, the same in all bands."""
    numbers = torch.arange(count * SIZE * SIZE, dtype=torch.float64) / (count * SIZE * SIZE)
    return numbers.view(count, 1, SIZE, SIZE).expand(-1, bands, -1, -1).clone()


def batch_of(classes: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    many = torch.randint(0, max(classes, 2), (8, SIZE, SIZE), generator=g)
    gaps = torch.rand(many.shape, generator=g)
    objects = torch.zeros(4, SIZE, SIZE, dtype=torch.bool)
    objects[:, 2:8, 3:9] = True
    return {
        "image": torch.rand(4, 3, SIZE, SIZE, generator=g, dtype=torch.float64),
        "label": many[:4].masked_fill(gaps[:4] < 0.5, 255), "weak": numbered(4),
        "weak_label": many[4:].masked_fill(gaps[4:] < 0.7, 255), "weak_valid": gaps[4:] < 0.9,
        "valid": gaps[:4] > 0.1, "object": objects,
    }  # fmt: skip


def pair(classes: int = 3, seed: int = 0) -> tuple[Net, Net]:
    torch.manual_seed(seed)
    student, teacher = Net(classes=classes).double(), Net(classes=classes).double().eval()
    for net in (student, teacher):
        net.head.weight.data *= 20  # teachers that are sure of some pixels
    return student, teacher


def small(settings: SemiSettings, p: float | None = None) -> SemiSettings:
    """The same method for small pictures."""
    return replace(settings, mix=tuple(replace(m, min_px=5, p=m.p if p is None else p) for m in settings.mix))


def plain(settings: SemiSettings, p: float | None = None) -> SemiSettings:
    """The same method with pictures that keep their values, so that a pixel's number says where it came from."""
    return replace(small(settings, p), appearance="none")


def expected(method: SemiSettings, student: Net, teacher: Net, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """The terms by the references, from what the student saw and said, and by whom it was taught."""
    with torch.no_grad():
        judged = (student if method.labels_by == "student" else teacher)(batch["weak"]).numpy()
    valid, label = batch["weak_valid"].numpy(), batch["weak_label"].numpy()
    taught = written.pseudo(judged, np.where(valid, label, 255), valid)
    said, seen = student.said[0].numpy(), student.seen[0].numpy()
    first = np.where(batch["valid"].numpy(), batch["label"].numpy(), 255)
    terms = {"supervised": written.supervised(said[:4], first)}
    weights = [*method.streams, *([method.feature_weight] if method.feature_weight else [])]
    for k, weight in enumerate(weights if method.lambda_u else []):
        part = slice(4 * (k + 1), 4 * (k + 2))
        came_from = np.rint(seen[part, 0] * 4 * SIZE * SIZE).astype(int)
        maps = [np.moveaxis(taught[0], 1, -1), *taught[1:]]
        maps = [m.reshape(-1, *m.shape[3:])[came_from] for m in maps]
        view = [np.moveaxis(maps[0], -1, 1), *maps[1:]]
        named = {"squared": (written.squared,)} if method.squared else {
            "hard": (written.hard, method.t_hard), "soft": (written.soft, method.t_soft),
        }  # fmt: skip
        for name, (loss, *limit) in named.items():
            if limit != [None]:
                terms[name] = terms.get(name, 0) + weight * loss(said[part], view, *limit)
    return terms


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", sorted(set(METHODS) - {"self-distillation"}))
def test_every_method_is_its_sum(name, classes):
    (student, teacher), batch, method = pair(classes), batch_of(classes), plain(METHODS[name])
    total, parts = SemiMethod(method, features=("encoder",)).losses(student, teacher, batch, RNG(5))
    want = expected(method, student, teacher, batch)
    assert {k: float(v) for k, v in parts.items()} == pytest.approx(want, rel=1e-9)
    weights = {"supervised": 1, "hard": method.lambda_u, "squared": method.lambda_u, "soft": method.lambda_u}
    assert float(total.detach()) == pytest.approx(sum(weights[k] * v for k, v in want.items()), rel=1e-9)
    assert len(student.said) == 1
    total.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad.isfinite().all() for p in student.parameters())


def test_strong_views_of_s5mars_are_augin_then_pasted_into():
    (student, teacher), batch = pair(), batch_of()
    batch["weak"] = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    SemiMethod(replace(METHODS["s5mars"], mix=())).losses(student, teacher, batch, RNG(0))
    alone = student.seen[0][4:]
    orders = [list(order) for order in itertools.permutations(range(4))]
    fits = [o for o in orders if torch.allclose(augin(batch["weak"], o, "sigma", batch["weak_valid"]), alone)]
    assert len(fits) == 1
    assert fits != [[0, 1, 2, 3]]
    SemiMethod(small(METHODS["s5mars"])).losses(student, teacher, batch, RNG(0))  # the same draw comes first
    pasted = student.seen[1][4:]
    foreign = (pasted != alone).any(1)
    assert foreign.any()
    known = {tuple(p.tolist()) for p in alone.movedim(1, -1).reshape(-1, 3)}
    assert all(tuple(p.tolist()) in known for p in pasted.movedim(1, -1)[foreign])


def test_what_the_names_stand_for():
    assert (METHODS["s5mars"].t_hard, METHODS["s5mars"].t_soft, METHODS["s5mars"].lambda_u) == (0.7, 0.9, 2)
    assert METHODS["s5mars"].mix[0].kind == "object"
    assert METHODS["s5mars"].appearance == "augin-sigma"
    assert METHODS["unimatch"].streams == (0.25, 0.25)
    assert METHODS["unimatch"].feature_weight == 0.5
    assert METHODS["supervised"].lambda_u == 0
    assert (METHODS["self-distillation"].momentum, METHODS["self-distillation"].ramp) == (0.99, False)


def test_the_flags_of_the_release():
    (student, teacher), batch = pair(), batch_of()
    inside = SemiMethod(plain(METHODS["s5mars"]))
    outside = SemiMethod(replace(inside.settings, soft_outside_lambda=True, lambda_s=0.5))
    a, parts = inside.losses(student, teacher, batch, RNG(1))
    b, _ = outside.losses(student, teacher, batch, RNG(1))
    assert float(a - b) == pytest.approx(1.5 * float(parts["soft"]), rel=1e-9)
    hard_examples = replace(inside.settings, ohem=True, lambda_u=0.0)
    assert set(SemiMethod(hard_examples).losses(student, teacher, batch, RNG(1))[1]) == {"supervised"}


def test_a_rectangle_after_the_object_is_one_more_round():
    (student, teacher), batch = pair(), batch_of()
    twice = replace(plain(METHODS["s5mars"]), mix=(Mix("object", min_px=5), Mix("rect")))
    _, parts = SemiMethod(twice).losses(student, teacher, batch, RNG(0))
    assert {k: float(v) for k, v in parts.items()} == pytest.approx(expected(twice, student, teacher, batch), rel=1e-9)


def test_pixels_without_data_teach_nothing():
    student, teacher = pair()
    method, batch = SemiMethod(plain(METHODS["s5mars"], p=0.0)), batch_of()
    before = method.losses(student, teacher, batch, RNG(0))[0]
    spoilt = {k: v.clone() for k, v in batch.items()}
    spoilt["label"][~batch["valid"]] = 1
    spoilt["weak_label"][~batch["weak_valid"]] = 2
    assert float(method.losses(student, teacher, spoilt, RNG(0))[0]) == float(before)
    spoilt["valid"][:], spoilt["weak_valid"][:] = False, False
    assert float(method.losses(student, teacher, spoilt, RNG(0))[0]) == 0


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_self_distillation_is_eq_5(classes, flip):
    (student, teacher), batch = pair(classes), batch_of(classes)
    method = SemiMethod(method_settings("self-distillation", flip_teacher=flip))
    total, parts = method.losses(student, teacher, batch, RNG(0))
    said, valid = student.said[0].numpy(), batch["valid"].numpy()
    with torch.no_grad():
        judged = teacher(batch["image"].flip(-1)).flip(-1) if flip else teacher(batch["image"])
    label = np.where(valid, batch["label"].numpy(), 255)
    second = written.squared(said, written.pseudo(judged.numpy(), np.full_like(label, 255), valid))
    assert float(parts["squared"]) == pytest.approx(second, rel=1e-9)
    assert float(total.detach()) == pytest.approx(written.supervised(said, label) + 0.1 * second, rel=1e-9)
    if classes == 1:
        assert second == pytest.approx(written.masked_mse(said[:, 0], judged[:, 0].numpy(), valid), rel=1e-9)


def test_a_teacher_that_is_the_student_distils_nothing():
    student, _ = pair(1)
    _, parts = SemiMethod(METHODS["self-distillation"]).losses(student, EMATeacher(student).ema, batch_of(1), RNG(0))
    assert float(parts["squared"]) == 0


def test_channels_are_dropped_of_the_feature_view_alone():
    (student, teacher), batch = pair(), batch_of()
    maps = []
    student.head.register_forward_pre_hook(lambda _m, inputs: maps.append(inputs[0].detach()))
    method = SemiMethod(replace(plain(METHODS["unimatch"]), labels_by="teacher"), features=("encoder",))
    torch.manual_seed(0)
    method.losses(student, teacher, batch, RNG(0))
    kept = student.encoder(student.seen[0])
    torch.testing.assert_close(maps[0][:12], kept[:12])
    ratio = maps[0][12:].sum((2, 3)) / kept[12:].sum((2, 3))
    assert {round(float(r), 6) for r in ratio.flatten() if r.isfinite()} == {0.0, 2.0}
    assert not student.encoder._forward_hooks


def test_layers_are_found_inside_a_wrapper_and_lists_of_maps_lose_channels_too():
    class Pyramid(nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x, x[..., ::2, ::2]]

    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.ModuleDict({"encoder": Pyramid()})

    [layer] = named_layers(Wrapper(), ["encoder"])
    with feature_dropout([layer], last=1, p=1.0):
        maps = layer(torch.ones(3, 2, 4, 4))
    assert [tuple(m.shape) for m in maps] == [(3, 2, 4, 4), (3, 2, 2, 2)]
    assert all(m[:2].all() and not m[2].any() for m in maps)


def test_the_student_is_in_training_again_after_it_labelled():
    student = Net(norm=True).double()
    student.encoder[1].eval()  # frozen on purpose
    _, teacher = pair()
    before = student.encoder[1].running_mean.clone()
    SemiMethod(plain(METHODS["fixmatch"])).losses(student, teacher, batch_of(), RNG(0))
    assert student.training
    assert student.encoder[4].training
    assert not student.encoder[1].training
    assert torch.equal(student.encoder[1].running_mean, before)
    assert int(student.encoder[4].num_batches_tracked) == 1


def test_the_same_seed_gives_the_same_step():
    student, teacher = pair()
    method, batch = SemiMethod(METHODS["s5mars"]), batch_of()
    a, b, c = (float(method.losses(student, teacher, batch, RNG(seed))[0].detach()) for seed in (1, 1, 2))
    assert a == b != c


@pytest.fixture
def one_thread():
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", METHODS)
def test_two_pictures_are_learnt_by_heart(name):
    torch.manual_seed(1)
    y = torch.zeros(2, 24, 24, dtype=torch.int64)
    y[0, :, 12:], y[1, 12:], y[:, 8:16, 8:16] = 1, 1, 2
    x = torch.tensor([[0.2, 0.3, 0.8], [0.5, 0.2, 0.5], [0.8, 0.7, 0.2]])[y].movedim(-1, 1)
    x = (x + 0.03 * torch.randn_like(x)).clamp(0, 1)
    labels = y.clone()
    labels[:, ::2] = 255  # half of the pixels
    batch = {"image": x, "label": labels, "weak": x, "weak_label": labels, "object": y == 2}
    student = Net(width=8, norm=True)
    teacher, rng = EMATeacher(student, METHODS[name].momentum, METHODS[name].ramp), RNG(0)
    method = SemiMethod(small(METHODS[name]), features=("encoder",))
    step = torch.optim.Adam(student.parameters(), 0.02)
    for _ in range(150 if name == "augseg" else 80):  # whose views are the strongest
        total, _ = method.losses(student, teacher.ema, batch, rng)
        step.zero_grad()
        total.backward()
        step.step()
        teacher.update(student)
    with torch.no_grad():
        right = [(net(x).argmax(1) == y).float().mean() for net in (student.eval(), teacher.ema)]
    assert right[0] > 0.85  # seldom below 0.95; the largest class has half of the pixels
    assert right[1] > 0.7 or not METHODS[name].ramp  # with a constant 0.99 the start is still in it


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: method_settings("unimach"), "unimatch"),
        (lambda: method_settings("s5mars", t_hard=1.5), "t_hard=1.5"),
        (lambda: method_settings("s5mars", lambda_u=-1), "lambda_u=-1"),
        (lambda: method_settings("s5mars", lambda_u=float("nan")), "lambda_u=nan"),
        (lambda: method_settings("s5mars", appearance="augin"), "augin-"),
        (lambda: method_settings("s5mars", labels_by="nobody"), "teacher or student"),
        (lambda: Mix("sam"), "object, components"),
        (lambda: SemiMethod(METHODS["unimatch"]), "features="),
        (lambda: SemiMethod(METHODS["unimatch"], ("encodr",)).losses(*pair(), batch_of(), RNG(0)), "encodr"),
    ],
)
def test_wrong_settings_are_told_in_a_line(call, says):
    with pytest.raises(ConfigError, match=says) as e:
        call()
    assert "\n" not in str(e.value)


def test_a_gap_between_the_thresholds_is_told(caplog):
    with caplog.at_level(logging.WARNING, "rsdet"):
        method_settings("s5mars", t_hard=0.95)
    assert "teach nothing" in caplog.text
