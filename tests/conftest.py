"""Fixtures shared by the whole suite: quiet threads, isolated settings, tiny data, a tiny trained model."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Generator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

# The suite must not fight over cores with itself: idle OpenMP threads that spin are worse than none, and where there is
# a process a core, each has one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("MPLBACKEND", "Agg")

# Numbers at random are those of a test's name, whatever ran before it and wherever; another seed draws others.
SEED = int(os.environ.get("RSDET_TEST_SEED", 0))
settings.register_profile("suite", derandomize=SEED == 0, deadline=None)  # no clock: others may use the machine
settings.load_profile("suite")


def draw_as(name: str) -> None:
    """Let the generators that tests and the package share begin where this name has them begin."""
    seed = crc32(f"{SEED} {name}".encode())
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> Generator[None, None, None]:
    draw_as(fixturedef.argname)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    draw_as(item.nodeid)
    return (yield)


# Variables of vmc-detr-demo.yaml that make it as small as it can be; every module is still in it.
TINY = dict(w1=8, w2=16, w3=16, w4=32, w5=32, neck=32, hd=32, ffn=32, nq=30)
TRAIN = dict(
    imgsz=96, batch=4, nbs=4, recipe="none", optimizer="AdamW", lr0=1e-3, warmup_epochs=0, mosaic=0.0, plots=False,
    exist_ok=True, patience=100,
)  # fmt: skip


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of small real datasets; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("RSDET_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real sample data not found at {root}; set RSDET_SHARED_DATA to the folder that holds it")
    return root


@pytest.fixture(autouse=True, scope="session")
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep settings, caches and runs of the user out of the suite, and the suite out of them."""
    home = tmp_path_factory.mktemp("home")
    os.environ["YOLO_CONFIG_DIR"] = str(home)
    os.environ["RSDET_HOME"] = str(home / "rsdet")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data YAML of eight training and four validation scenes of 96 px."""
    from rsdet.data.demo import make_demo

    return make_demo(tmp_path_factory.mktemp("tiny") / "scenes", n_train=8, n_val=4, size=96, seed=3, progress=False)


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished two-epoch training of the tiny model."""
    from rsdet import RSDet

    project = tmp_path_factory.mktemp("runs")
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    model.train(data=tiny_data, epochs=2, project=str(project), name="tiny", **TRAIN)
    return project / "tiny"


@pytest.fixture(scope="session")
def tiny_weights(tiny_run: Path) -> Path:
    """Checkpoint of the tiny model."""
    return tiny_run / "weights" / "last.pt"
