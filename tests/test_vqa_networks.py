"""Networks for questions beside their equations (tests/nn): counts, invariants, routes and pads, groups, weights."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from learning import silent
from torch import nn

from rsdet.deploy.complexity import complexity
from rsdet.errors import CheckpointError, ConfigError
from rsdet.losses.answers import AnswerLoss
from rsdet.modelyaml import list_models, read_model_yaml, resolve
from rsdet.nn.acr import ACR
from rsdet.nn.answering import AnswerHead, AnsweringNetwork, ImageEncoder, expand
from rsdet.nn.networks import build_network
from rsdet.nn.question_encoder import EncoderLayer, QuestionEncoder, pads_of
from rsdet.nn.scconv import CRU, SRU, SCConv

SMALL = dict(
    depths=(1, 1, 1, 1), width=16, block="basic", dim=16, heads=2, layers=2, encoder_layers=1, tokens=10, answers=6,
    length=5,
)  # fmt: skip
TOKENS = torch.tensor([[5, 2, 7, 1, 3], [4, 6, 0, 0, 0], [9, 0, 0, 0, 0], [2, 2, 3, 8, 0]])


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def lively(net: nn.Module) -> nn.Module:
    """Norms with statistics and weights unlike those of a fresh network, and a router that is of two minds."""
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 2)
    return net.double().eval()


def make(**args: object) -> ACR:
    return lively(ACR(**{**SMALL, **args}))


def from_yaml(name: str, **values: object) -> AnsweringNetwork:
    d = resolve(read_model_yaml(name), None, values)
    return build_network(d["network"], d["args"], AnsweringNetwork)


def params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def images(n: int, height: int = 64, width: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, height, width, dtype=torch.float64)


# -- published counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "count"),
    [
        ("acr-r50.yaml", {}, 47_820_499),
        ("acr-r50.yaml", {"dre": False}, 45_530_003),
        ("acr-r50.yaml", {"dre_init": "identity"}, 47_820_499 + 3_776),  # a scale for each of 16 blocks' channels
        ("acr-r18.yaml", {}, 17_884_947),
        ("acr-n.yaml", {}, 2_159_395),
    ],
)
def test_parameters_without_data(name, values, count):
    with torch.device("meta"):
        assert params(from_yaml(name, **values)) == count


def test_the_paper_is_the_default_of_yaml_and_class():
    with torch.device("meta"):
        ours, theirs = from_yaml("acr-r50.yaml"), ACR()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert {"acr-r50.yaml", "acr-r18.yaml", "acr-n.yaml"} <= set(list_models(task="vqa"))


@pytest.mark.parametrize(("dre", "macs"), [(True, 23.30), (False, 21.35)])
def test_cost_of_the_image_encoder(dre, macs):
    with torch.device("meta"):
        cost = complexity(ACR(dre=dre).encoder, imgsz=512)
    assert cost.gflops_true / 2 == pytest.approx(macs, abs=0.01)


@pytest.mark.parametrize(
    ("name", "size", "image", "question"),
    [("acr-r50.yaml", 512, 23.57, 1.487), ("acr-r18.yaml", 256, 2.620, 0.1412), ("acr-n.yaml", 192, 0.1735, 0.0627)],
)
def test_cost_of_an_image_and_of_a_question_about_it(name, size, image, question):
    with torch.device("meta"):
        net = from_yaml(name)
        cells = torch.zeros(1, (size // net.stride) ** 2, net.project.out_features)
        asked = (cells, torch.zeros(1, net.length, dtype=torch.long))
        costs = complexity(ImageEncoder(net), imgsz=size), complexity(AnswerHead(net), inputs=asked)
    assert [c.gflops_true / 2 for c in costs] == pytest.approx([image, question], rel=2e-3)


# -- dual reconstruction -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [64, 128, 256, 512])
def test_units_keep_the_shape(c):
    x = torch.randn(2, c, 3, 5)
    assert SRU(c)(x).shape == CRU(c)(x).shape == SCConv(c)(x).shape == x.shape


@pytest.mark.parametrize("c", [8, 24, 66])
def test_channels_that_do_not_divide_are_refused(c):
    with pytest.raises(ConfigError, match="multiples of"):
        SCConv(c)
    if c % 8:
        with pytest.raises(ConfigError, match="multiples of 8"):
            CRU(c)


def test_betas_sum_to_one_in_every_channel():
    cru = CRU(16)
    beta1, beta2 = cru.betas(*cru.parts(torch.randn(2, 16, 4, 4)))
    assert torch.allclose(beta1 + beta2, torch.ones(2, 16, 1, 1))
    assert ((beta1 > 0) & (beta2 > 0)).all()
    assert (beta1 - 0.5).abs().max() > 0.01


@pytest.mark.parametrize("gate", ["soft", "hard"])
def test_sru_leaves_alone_what_is_all_informative(gate):
    sru, x = SRU(16, gate), torch.randn(2, 16, 4, 4)
    nn.init.constant_(sru.norm.bias, 10)
    assert torch.equal(sru(x), x)


def test_gates_differ_and_the_hard_one_keeps_the_sum():
    x = torch.randn(2, 16, 4, 4)
    soft, hard = SRU(16)(x), SRU(16, "hard")(x)
    assert not torch.allclose(soft, hard, atol=1e-2)
    assert torch.allclose(sum(hard.chunk(2, 1)), sum(x.chunk(2, 1)), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_gate_is_the_same_in_half_precision(dtype):
    x = torch.randn(2, 512, 4, 4).to(dtype)
    want, got = SRU(512)(x.float()), SRU(512).to(dtype)(x).float()
    assert ((got - want).abs() > 0.02 * x.float().abs() + 0.02).float().mean() < 0.01  # those nearest to the threshold
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ((SRU(512)(x).float() - want).abs() > 0.1).float().mean() < 0.01


@pytest.mark.parametrize("weights", [[1.0] * 16, [1.0, -1.0] * 8, [-1.0] * 16, [0.0] * 16])
def test_constant_maps_and_weights_of_any_sign_stay_finite(weights):
    unit = SCConv(16)
    unit.sru.norm.weight.data = torch.tensor(weights)
    for x in (torch.full((1, 16, 4, 4), 3.0), torch.zeros(1, 16, 1, 2), torch.randn(1, 16, 4, 4)):
        y = unit(x.requires_grad_())
        y.sum().backward()
        assert y.isfinite().all()
        assert x.grad.isfinite().all()


def test_identity_is_one_until_it_learns_and_can_learn():
    unit, x = SCConv(16, identity=True), torch.randn(2, 16, 4, 4)
    y = unit(x)
    assert torch.equal(y, x)
    y.square().sum().backward()
    assert unit.scale.grad.abs().min() > 0
    unit.scale.data.fill_(1)
    assert torch.allclose(unit(x), unit.cru(unit.sru(x)), atol=1e-6)


# -- routes ------------------------------------------------------------------------------------------------------------


def routed_by(net: ACR, *p: float) -> None:
    """Let the router say these probabilities to every question."""
    nn.init.zeros_(net.router[2].weight)
    net.router[2].bias.data = torch.tensor(p, dtype=torch.float64).log()


@pytest.mark.parametrize(("p", "closed"), [((0.6, 0.4), True), ((0.4, 0.6), False), ((0.5, 0.5), False)])
def test_the_likelier_type_selects_the_branch_and_ties_are_open(p, closed):
    net, x = make(), images(4)
    routed_by(net, *p)
    said = net(x, TOKENS)
    assert torch.allclose(said.types.softmax(1), torch.tensor(p, dtype=torch.float64).expand(4, 2))
    want = net(x, TOKENS, route=torch.full((4,), closed))
    other = net(x, TOKENS, route=torch.full((4,), not closed))
    assert torch.allclose(said.logits, want.logits, atol=1e-12)
    assert torch.allclose(said.attention, want.attention, atol=1e-12)
    assert (said.logits - other.logits).abs().min(1).values.max() > 1e-4


def mixed(net: ACR) -> torch.Tensor:
    """Move the router so that half of the four questions are closed; which ones."""
    with torch.no_grad():
        types = net.types_of(net.question(TOKENS))
        lead = types[:, 0] - types[:, 1]
        net.router[2].bias[0] -= lead.median() + 1e-9
        return lead > lead.median()


def test_a_batch_of_both_types_is_each_question_alone():
    net, x = make(), images(4)
    closed = mixed(net)
    assert 0 < closed.sum() < 4
    said = net(x, TOKENS)
    for i in range(4):
        for route in (None, closed[i : i + 1]):
            alone = net(x[i : i + 1], TOKENS[i : i + 1], route=route)
            for a, b in zip(alone, said, strict=True):
                assert torch.allclose(a[0], b[i], atol=1e-12)


def test_a_branch_changes_no_answer_of_the_other_type():
    net, x = make(), images(4)
    closed = mixed(net)
    before = net(x, TOKENS).logits
    for p in [*net.branches[1].parameters(), *net.classifiers[1].parameters()]:
        nn.init.normal_(p)
    after = net(x, TOKENS).logits
    assert torch.equal(after[closed], before[closed])
    assert not torch.isclose(after[~closed], before[~closed]).all(1).any()


@pytest.mark.parametrize("closed", [True, False])
def test_no_gradient_reaches_the_unused_branch(closed):
    net, x = make(), images(4)
    routed_by(net, *((0.9, 0.1) if closed else (0.1, 0.9)))
    for route in (torch.full((4,), closed), None):
        net.zero_grad()
        F.cross_entropy(net(x, TOKENS, route=route).logits, torch.tensor([0, 1, 2, 3])).backward()
        unused, used = (
            [p.grad for m in (net.branches, net.classifiers) for p in m[k].parameters()] for k in (closed, not closed)
        )
        assert all(g is None or not g.any() for g in unused)
        assert sum(float(g.abs().sum()) for g in used) > 0


def test_every_parameter_learns():
    closed = torch.tensor([True, False, True, False])

    def loss(net: ACR) -> torch.Tensor:
        return AnswerLoss()(net(images(4), TOKENS, route=closed), torch.tensor([0, 1, 2, 3]), closed)[0]

    # A shift of all scores of a softmax changes nothing, and batch norm takes the bias of a convolution back.
    nothing = (".k.bias", "score.bias", "score.2.bias")
    assert not {name for name in silent(make, loss) if not name.endswith(nothing)}


def test_one_branch_for_all_without_a_router():
    net, x = make(router=False), images(4)
    said = net(x, TOKENS)
    assert (said.types == 0).all()
    assert len(net.branches) == len(net.classifiers) == 1
    assert torch.equal(net(x, TOKENS, route=torch.tensor([True, False, True, False])).logits, said.logits)
    loss, _ = AnswerLoss(type_weight=0)(said, torch.tensor([0, 1, 2, 3]), torch.tensor([True] * 4))
    loss.backward()


def test_a_shared_head_is_one():
    net = make(shared_head=True)
    assert len(net.branches) == 2
    assert params(make()) - params(net) == params(net.classifiers)


def test_the_closed_branch_can_be_kept_to_yes_and_no():
    net, x = make(closed_mask=True), images(4)
    free = net(x, TOKENS, route=torch.tensor([True] * 4)).logits
    net.restrict_closed([4, 1])
    route = torch.tensor([True, True, False, False])
    said = net(x, TOKENS, route=route).logits
    assert (said[:2].softmax(1)[:, [0, 2, 3, 5]] == 0).all()
    assert torch.allclose(said[:2, [1, 4]], free[:2, [1, 4]])
    assert (said[2:].softmax(1) > 0).all()
    twin = make(closed_mask=True)
    twin.load_state_dict(net.state_dict())
    assert twin.allowed.tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("answers", [[], [6], [-1, 2]])
def test_answers_that_are_none_do_not_restrict(answers):
    with pytest.raises(ConfigError, match="closed_mask"):
        make(closed_mask=True).restrict_closed(answers)
    with pytest.raises(ConfigError, match="closed_mask"):
        make().restrict_closed([1])


# -- words and cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [None, [True, False, True, False]])
def test_pads_change_nothing(route):
    net, x = make(), images(4)
    mixed(net)
    route = route and torch.tensor(route)
    short, long = (net(x, t, route=route) for t in (TOKENS, F.pad(TOKENS, (0, 11))))
    assert torch.allclose(long.logits, short.logits, atol=1e-12)
    assert torch.allclose(long.types, short.types, atol=1e-12)
    real = ~pads_of(TOKENS)
    assert torch.allclose(long.attention[:, :5][real], short.attention[real], atol=1e-12)


def test_the_weights_of_words_sum_to_one_and_are_zero_at_pads():
    question = make().question(TOKENS)
    assert torch.allclose(question.weights.sum(1), torch.ones(4, dtype=torch.float64))
    assert (question.weights[pads_of(TOKENS)] == 0).all()
    assert question.weights[2].tolist() == [1, 0, 0, 0, 0]


def test_a_question_of_no_word_at_all_is_answered():
    net, x = make(), images(1).expand(3, -1, -1, -1)
    empty = torch.zeros(3, 5, dtype=torch.long)
    said = net(x, empty)
    assert all(t.isfinite().all() for t in said)
    assert torch.allclose(net(x, empty[:, :1]).logits, said.logits, atol=1e-12)
    said.logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


def test_the_order_of_words_counts_and_that_of_cells_does_not():
    net, x = make(), images(2)
    v = net.encode_image(x)
    said = net.answer(v, TOKENS[:2])
    order = torch.randperm(v.shape[1])
    moved = net.answer(v[:, order], TOKENS[:2])
    assert torch.allclose(moved.logits, said.logits, atol=1e-12)
    assert torch.allclose(moved.attention, said.attention[:, :, order], atol=1e-12)
    turned = TOKENS[:1].flip(1)
    assert (net.answer(v[:1], turned).logits - said.logits[:1]).abs().max() > 1e-4


def test_positions_of_cells_by_flag():
    net, x = make(image_positions=True), images(1, 96, 64)
    plain = make()
    plain.load_state_dict(net.state_dict())
    places = (net.encode_image(x) - plain.encode_image(x))[0].unflatten(0, net.grid(96, 64))
    assert places.shape == (3, 2, 16)
    assert torch.allclose(places[0, :, :8], places[0, :1, :8].expand(2, -1), atol=1e-12)  # a row has one place
    assert torch.allclose(places[:, 1, 8:], places[:1, 1, 8:].expand(3, -1), atol=1e-12)
    assert len({tuple(round(float(v), 6) for v in p) for p in places.flatten(0, 1)}) == 6
    assert params(net) == params(plain)


def test_attention_maps_sum_to_one_over_the_grid():
    net = make()
    said = net(images(4, 70, 130), TOKENS)
    assert net.grid(70, 130) == (3, 5)
    assert said.attention.shape == (4, 5, 15)
    assert torch.allclose(said.attention.sum(2), torch.ones(4, 5, dtype=torch.float64))


def test_an_encoder_layer_is_that_of_pytorch():
    ours, theirs = EncoderLayer(16, 2), nn.TransformerEncoderLayer(16, 2, 64, activation="gelu", batch_first=True)
    theirs.self_attn.in_proj_weight.data = torch.cat([getattr(ours.attn, n).weight.data for n in "qkv"])
    theirs.self_attn.in_proj_bias.data = torch.cat([getattr(ours.attn, n).bias.data for n in "qkv"])
    pairs = [
        (theirs.self_attn.out_proj, ours.attn.out), (theirs.linear1, ours.ffn[0]), (theirs.linear2, ours.ffn[3]),
        (theirs.norm1, ours.norm1), (theirs.norm2, ours.norm2),
    ]  # fmt: skip
    for to, source in pairs:
        to.load_state_dict(source.state_dict())
    x, pads = torch.randn(4, 5, 16), pads_of(TOKENS)
    with torch.no_grad():
        want, got = theirs.eval()(x, src_key_padding_mask=pads), ours.eval()(x, pads)
    assert torch.allclose(got[~pads], want[~pads], atol=1e-5)


def test_dropout_acts_in_training_alone():
    layer = QuestionEncoder(10, 16, 2, 1, dropout=0.5)
    assert not torch.equal(layer(TOKENS).attended, layer(TOKENS).attended)
    layer.eval()
    assert torch.equal(layer(TOKENS).attended, layer(TOKENS).attended)


# -- groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_questions_grouped_by_image_are_independent_samples(training):
    """Batch norm sees each image once or four times, which is the same mean and variance."""
    closed = torch.tensor([True, False, False, True] * 2)
    truth = torch.tensor([0, 3, -1, 1, 1, 5, 2, 0])
    x, tokens = images(2), torch.cat((TOKENS, TOKENS.flip(0)))
    found = []
    for grouped in (True, False):
        torch.manual_seed(1)
        net = make(dropout=0).train(training)
        said = net(x, tokens, 4, closed) if grouped else net(x.repeat_interleave(4, 0), tokens, route=closed)
        loss, _ = AnswerLoss()(said, truth, closed)
        loss.backward()
        found.append((loss.detach(), {k: p.grad for k, p in net.named_parameters()}))
    (loss, grads), (want, wants) = found
    assert torch.allclose(loss, want, rtol=1e-10)
    for name, g in wants.items():
        assert torch.allclose(grads[name], g, rtol=1e-6, atol=1e-9), name


def test_images_have_as_many_questions_as_they_like():
    v = torch.arange(3.0)[:, None, None].expand(3, 2, 1)
    assert expand(v, torch.tensor([2, 0, 1]))[:, 0, 0].tolist() == [0, 0, 2]
    assert expand(v, 2)[:, 1, 0].tolist() == [0, 0, 1, 1, 2, 2]


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "args"), [("resnet18", {"depths": (2,) * 4}), ("resnet50", {"depths": (3, 4, 6, 3)})]
)
def test_image_encoder_takes_the_weights_of_torchvision(theirs, args):
    from torchvision import models

    net = ACR(block="bottleneck" if theirs == "resnet50" else "basic", dim=16, dre_init="identity", **args)
    original = lively(models.get_model(theirs, weights=None))
    net.load_resnet(original.state_dict())
    net.double().eval()
    seen = {}
    original.layer4.register_forward_hook(lambda _, __, y: seen.update(y=y))
    x = images(1)
    with torch.no_grad():
        original(x)
        assert torch.allclose(net.encoder(x), seen["y"], rtol=1e-9)  # dre_init=identity: not disturbed by DRE


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_weights_of_three_channels_serve_others(channels):
    from torchvision import models

    state = models.resnet18(weights=None).double().state_dict()
    net = ACR(depths=(2,) * 4, block="basic", dim=16, channels=channels).double()
    net.load_resnet(state)
    gray = images(1, channels=1)
    original = F.conv2d(gray.expand(-1, 3, -1, -1), state["conv1.weight"])
    got = F.conv2d(gray.expand(-1, channels, -1, -1), net.encoder.conv1.weight)
    if channels == 1:
        assert torch.allclose(got, original)
    assert got.detach().std() == pytest.approx(float(original.std()), rel=0.6)


def test_weights_of_another_network_are_refused():
    from torchvision import models

    net = ACR(depths=(2,) * 4, block="basic", dim=16)
    for wrong in (models.resnet34(weights=None).state_dict(), {"a": torch.zeros(1)}):
        with pytest.raises(CheckpointError, match="another ResNet"):
            net.load_resnet(wrong)


def test_weights_are_fetched_when_a_training_starts_and_not_before(monkeypatch):
    from torchvision import models

    asked, state = [], models.resnet18(weights=None).state_dict()

    def fetch(self, **args):
        asked.append((str(self), args))
        return state

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fetch)
    net = from_yaml("acr-r18.yaml", weights="imagenet")
    assert not asked
    assert "ResNet18" in net.load_pretrained()
    assert asked == [("ResNet18_Weights.IMAGENET1K_V1", {"check_hash": True})]
    assert torch.equal(net.encoder.conv1.weight, state["conv1.weight"])
    assert from_yaml("acr-n.yaml").load_pretrained() is None


def test_without_a_connection_it_says_so(monkeypatch):
    from torchvision import models

    def fail(self, **args):
        raise OSError("no route to host")

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fail)
    with pytest.raises(CheckpointError, match="no route") as e:
        from_yaml("acr-r18.yaml", weights="imagenet").load_pretrained()
    assert "\n" not in str(e.value)


# -- wrong arguments, copies, precision --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"tokens": 0}, "tokens of ACR"),
        ({"answers": True}, "answers of ACR"),
        ({"length": 1.5}, "length of ACR"),
        ({"depths": [1, 1, 1]}, "four depths"),
        ({"depths": 3}, "four depths"),
        ({"block": "wide"}, "block="),
        ({"stride": 8}, "stride="),
        ({"width": 24}, "dre=False"),
        ({"gate": "open"}, "gate="),
        ({"dim": 30, "heads": 4}, "multiple of 4 and of heads"),
        ({"heads": 0}, "heads of ACR"),
        ({"encoder_layers": 0}, "encoder_layers of ACR"),
        ({"dre_init": "zero"}, "dre_init must be"),
        ({"dropout": 1}, "dropout of ACR"),
        ({"weights": "imagenet"}, "ResNet-50 or ResNet-18"),
        ({"weights": "coco"}, "weights="),
        ({"router": False, "closed_mask": True}, "router=False"),
        ({"words": 5}, "cannot be built"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(args, said):
    with pytest.raises(ConfigError, match=said) as e:
        build_network("ACR", {**SMALL, **args}, AnsweringNetwork)
    assert "\n" not in str(e.value)


def test_copies_compute_the_same():
    net, x = make(), images(4)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x, TOKENS).logits, net(x, TOKENS).logits)


def test_half_and_bfloat16_are_close():
    net, x = make().float(), images(4).float()
    route = torch.tensor([True, False, True, False])
    with torch.no_grad():
        want = net(x, TOKENS, route=route).logits
        half = copy.deepcopy(net).half()(x.half(), TOKENS, route=route).logits.float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            bf16 = net(x, TOKENS, route=route).logits.float()
    assert (half - want).abs().max() < 0.05 * want.abs().max()
    assert (bf16 - want).abs().mean() < 0.1 * want.abs().max()


def test_the_parts_are_the_whole():
    net, x = make(), images(2)
    head, encoder = AnswerHead(net), ImageEncoder(net)
    logits, types, attention = head(expand(encoder(x), 2), TOKENS)
    said = net(x, TOKENS, 2)
    assert torch.equal(logits, said.logits)
    assert torch.equal(types, said.types.softmax(1))
    assert torch.equal(attention, said.attention)


# -- learning ----------------------------------------------------------------------------------------------------------


def squares(red: int, blue: int, g: torch.Generator) -> torch.Tensor:
    """(3, 64, 64) noise with squares in some of its 16 fields."""
    x = 0.3 + 0.1 * torch.rand(3, 64, 64, generator=g)
    for i, field in enumerate(torch.randperm(16, generator=g)[: red + blue].tolist()):
        top, left = 16 * (field // 4) + 2, 16 * (field % 4) + 2
        x[:, top : top + 12, left : left + 12] = torch.tensor([1.0, 0, 0] if i < red else [0, 0, 1.0])[:, None, None]
    return x


def test_it_learns_whether_there_are_squares_and_how_many():
    g = torch.Generator().manual_seed(0)
    scenes = [(1, 0), (0, 3)]  # red and blue squares
    x = torch.stack([squares(*scene, g) for scene in scenes])
    # "are there red", "are there blue", "how many red", "how many blue"; the answers are no, yes, 0, 1, 2, 3
    tokens = torch.tensor([[2, 3, 4], [2, 3, 5], [6, 7, 4], [6, 7, 5]] * 2)
    truth = torch.tensor([n for r, b in scenes for n in (int(r > 0), int(b > 0), 2 + r, 2 + b)])
    closed = torch.tensor([True, True, False, False] * 2)
    args = {**SMALL, "dim": 32, "stride": 16, "tokens": 7, "dropout": 0}
    net = ACR(**args)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = 0.5  # the statistics of a few steps
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss, _ = AnswerLoss()(net(x, tokens, 4, closed), truth, closed)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        said = net.eval()(x, tokens, 4)
    assert loss < 0.3  # ln 6 + ln 2 = 2.5 of a guess
    assert said.logits.argmax(1).tolist() == truth.tolist()
    assert (said.types[:, 0] > said.types[:, 1]).tolist() == closed.tolist()
