"""The teacher of semi-supervised training follows its student by the two schedules, statistics included."""

from __future__ import annotations

import pytest
import torch
from references import semi as written
from torch import nn

from rsdet.losses.ema_teacher import EMATeacher, teacher_momentum


def network(value: float) -> nn.Module:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).double()
    with torch.no_grad():
        for tensor in [*net.parameters(), net[1].running_mean, net[1].running_var]:
            tensor.fill_(value)
    return net


def floats(net: nn.Module) -> list[torch.Tensor]:
    return [v for v in net.state_dict().values() if v.is_floating_point()]


def test_momentum_begins_at_0_and_ends_at_its_limit():
    assert [teacher_momentum(i) for i in range(4)] == pytest.approx([0, 1 / 2, 2 / 3, 3 / 4])
    assert teacher_momentum(248) < 0.996 == teacher_momentum(249) == teacher_momentum(10**6)
    assert all(teacher_momentum(i) == written.momentum(i) for i in range(400))


def test_the_first_step_copies_the_student_and_the_third_averages_three():
    student = network(0.0)
    teacher, seen = EMATeacher(student), []
    for value in (3.0, 5.0, 10.0):
        student.load_state_dict(network(value).state_dict())
        teacher.update(student)
        seen.append(float(floats(teacher.ema)[0].mean()))
        assert all(torch.allclose(t, torch.full_like(t, seen[-1])) for t in floats(teacher.ema))
    assert seen == pytest.approx([3, 4, 6])  # running means


def test_a_constant_momentum_moves_every_weight_by_a_hundredth_of_the_gap():
    student = network(1.0)
    teacher = EMATeacher(student, momentum=0.99, ramp=False)
    assert all(torch.equal(a, b) for a, b in zip(floats(teacher.ema), floats(student), strict=True))
    student.load_state_dict(network(2.0).state_dict())
    teacher.update(student)
    assert all(torch.allclose(t, torch.full_like(t, 1.01)) for t in floats(teacher.ema))


def test_whole_numbers_are_copied_and_the_teacher_never_learns():
    student = network(1.0)
    teacher = EMATeacher(student)
    student(torch.randn(2, 1, 3, 3, dtype=torch.float64))
    teacher.update(student)
    batches = teacher.ema[1].num_batches_tracked
    assert batches.dtype == torch.int64
    assert int(batches) == 1
    assert not teacher.ema.training
    assert not any(p.requires_grad for p in teacher.ema.parameters())


def test_a_teacher_goes_on_where_it_was():
    student = network(0.0)
    teacher = EMATeacher(student, updates=300)
    student.load_state_dict(network(1.0).state_dict())
    teacher.update(student)
    assert float(floats(teacher.ema)[0].mean()) == pytest.approx(1 - 0.996)
