"""units: says what the numbers in SAR files are, one word everywhere; its former name is read for files of then."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from rsdet import RSDet
from rsdet.cli import run
from rsdet.data.sar import Stretch
from rsdet.errors import ConfigError
from rsdet.tasks.detect.dataset import check_same, check_section


def test_the_former_name_is_read_and_never_written():
    old = Stretch.from_dict({"quantity": "intensity", "scale": "db", "stretch": "none", "dtype": "uint8"})
    assert old.units == "db"
    assert old.to_dict()["units"] == "db"
    assert "scale" not in old.to_dict()
    check_same({"scale": "db"}, {"units": "db"})  # weights of then, data of now
    with pytest.raises(ConfigError, match=r"units: and its former name scale:"):
        Stretch.from_dict({"scale": "db", "units": "linear"})


def test_a_data_yaml_with_the_former_name_is_told(caplog):
    with caplog.at_level(logging.WARNING, "ultralytics"):
        check_section({"sar": {"units": "db"}})
        assert not caplog.records
        check_section({"sar": {"scale": "db"}})
    assert "is called units: now" in caplog.text


def decibels() -> np.ndarray:
    """Speckled sea around -20 dB and a ship of 20 dB more."""
    x = -20 + 10 * np.log10(np.random.default_rng(0).gamma(4, 0.25, (160, 160)))
    x[70:84, 60:90] = 0.0
    return x.astype(np.float32)


def test_cfar_on_decibels_names_the_remedy_and_the_remedy_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.tif", decibels())
    words = ["predict", "model=cfar", "source=a.tif", "looks=4", "quantity=intensity"]
    assert run(words) == 2
    said = capsys.readouterr().err.strip()
    assert "negative values" in said
    assert "units=db" in said
    assert "\n" not in said
    assert run([*words, "units=db"]) == 0
    assert "1 objects in 1 images" in capsys.readouterr().out


def test_decibels_without_a_sign_are_told_by_what_was_not_found(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.tif", decibels() + 60)
    given = {"looks": 4, "quantity": "intensity"}
    with caplog.at_level(logging.WARNING, "ultralytics"):
        assert not len(RSDet("cfar", **given).predict("a.tif", verbose=False)[0])
        assert "read as quantity=intensity units=linear; say units=db" in caplog.text
        caplog.clear()
        assert len(RSDet("cfar", units="db", **given).predict("a.tif", verbose=False)[0]) == 1
        assert not caplog.records


def test_info_says_how_files_are_read(caplog):
    with caplog.at_level(logging.INFO, "ultralytics"):
        RSDet("cfar", units="db", quantity="intensity").info()
    assert "quantity=intensity, units=db" in caplog.text
