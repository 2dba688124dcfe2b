"""Cubes as they are delivered: every format gives the same values, and what contradicts itself is refused."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

from rsdet.data.cubes.bands import bands_of
from rsdet.data.cubes.opening import AXES, label_map, open_cube
from rsdet.errors import ConfigError, DataError

io = pytest.importorskip("scipy.io")
h5py = pytest.importorskip("h5py")
SHAPE = 7, 5, 4


def cube() -> np.ndarray:
    return np.random.default_rng(0).integers(-900, 9000, SHAPE).astype(np.int16)


def write_envi(path: Path, values: np.ndarray, order: str = "bip", swapped: bool = False, **fields: object) -> Path:
    """A header and its file of samples, written out by hand."""
    codes = {"uint8": 1, "int16": 2, "int32": 3, "float32": 4, "float64": 5, "uint16": 12, "complex64": 6}
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[order]
    said = {
        "samples": values.shape[1], "lines": values.shape[0], "bands": values.shape[2], "header offset": 0,
        "data type": codes[values.dtype.name], "interleave": order, "byte order": int(swapped), **fields,
    }  # fmt: skip
    path.write_text("ENVI\n" + "".join(f"{k.replace('_', ' ')} = {v}\n" for k, v in said.items()))
    stored = values.transpose(axes).astype(values.dtype.newbyteorder(">" if swapped else "<"))
    path.with_suffix(".img").write_bytes(b"\0" * max(0, int(said["header offset"])) + stored.tobytes())
    return path


def write_v73(path: Path, content: dict[str, np.ndarray], by_matlab: bool = True) -> Path:
    """As MATLAB writes them: a block of text before the HDF5, axes the other way round."""
    with h5py.File(path, "w", userblock_size=512) as f:
        for name, values in content.items():
            item = f.create_dataset(name, data=values.transpose() if by_matlab else values)
            if by_matlab:
                item.attrs["MATLAB_class"] = np.bytes_(values.dtype.name)
    with open(path, "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file, Platform: TEST".ljust(512))
    return path


def write_tiff(path: Path, values: np.ndarray, **profile: object) -> Path:
    rasterio = pytest.importorskip("rasterio")
    height, width, bands = values.shape
    fixed = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": values.dtype.name}
    tags = profile.pop("band_tags", None)
    more = {k: profile.pop(k) for k in ("scales", "offsets") if k in profile}
    with rasterio.open(path, "w", **fixed, **profile) as f:
        f.write(np.moveaxis(values, 2, 0))
        for name, each in more.items():
            setattr(f, name, each)
        for band, said in enumerate(tags or (), 1):
            f.update_tags(band, **said)
    return path


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One cube in every format."""
    folder, values = tmp_path_factory.mktemp("same"), cube()
    files = {f"envi-{o}-{s}": write_envi(folder / f"{o}{s:d}.hdr", values, o, s)
             for o, s in itertools.product(("bsq", "bil", "bip"), (False, True))}  # fmt: skip
    io.savemat(folder / "v5.mat", {"data": values, "map": values[..., 0] > 0})
    io.savemat(folder / "packed.mat", {"hsi": {"Data": values, "note": "x"}}, do_compression=True)
    np.save(folder / "c.npy", values)
    return files | {
        "v5": folder / "v5.mat", "packed": folder / "packed.mat", "npy": folder / "c.npy",
        "v7.3": write_v73(folder / "v73.mat", {"data": values, "map": values[..., 0]}),
        "tiff": write_tiff(folder / "c.tif", values),
    }  # fmt: skip


KINDS = [
    *(f"envi-{o}-{s}" for o in ("bsq", "bil", "bip") for s in (False, True)),
    "v5",
    "packed",
    "v7.3",
    "npy",
    "tiff",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_windows(same: dict[str, Path], kind: str) -> None:
    with open_cube(same[kind]) as c:
        assert (c.shape, c.dtype.name) == (SHAPE, "int16")
        whole = c.read()
        assert (whole.dtype, whole.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_array_equal(whole, cube())
        np.testing.assert_array_equal(c.read(slice(2, 5), slice(1, 4), [3, 0]), cube()[2:5, 1:4][:, :, [3, 0]])
        np.testing.assert_array_equal(c.read(slice(5, 99), None, [1, 1]), cube()[5:][:, :, [1, 1]])
        assert c.read(slice(3, 3)).shape == (0, 5, 4)
        with pytest.raises(ConfigError, match="4 bands"):
            c.read(bands=[4])


@pytest.mark.parametrize("axes", AXES)
def test_axes_of_arrays_lie_as_they_are_said_to(tmp_path: Path, axes: str) -> None:
    values = cube()
    stored = values.transpose(["HWB".index(a) for a in axes])
    np.save(tmp_path / "a.npy", stored)
    io.savemat(tmp_path / "a.mat", {"x": stored})
    for path in (tmp_path / "a.npy", tmp_path / "a.mat", write_v73(tmp_path / "h.mat", {"x": stored})):
        with open_cube(path, axes=axes.lower()) as c:
            np.testing.assert_array_equal(c.read(slice(1, 6), slice(0, 3), [2, 1]), values[1:6, :3][:, :, [2, 1]])


@pytest.mark.parametrize("order", ["bsq", "bil", "bip"])
def test_envi_is_read_as_spectral_reads_it(tmp_path: Path, order: str) -> None:
    spectral = pytest.importorskip("spectral")
    values = cube().astype(np.float32) / 7
    spectral.envi.save_image(
        str(tmp_path / "s.hdr"), values, interleave=order, dtype=np.float32, ext=".dat",
        metadata={"wavelength": [400, 500.5, 600, 700], "wavelength units": "Nanometers", "bbl": [1, 0, 1, 1]},
    )  # fmt: skip
    with open_cube(tmp_path / "s.dat") as c:  # by the file of samples as well
        loaded = spectral.envi.open(str(tmp_path / "s.hdr")).load()
        np.testing.assert_array_equal(c.read(), np.array(loaded).view(np.ndarray))
        np.testing.assert_array_equal(c.wavelengths_nm, [400, 500.5, 600, 700])
        assert c.good.tolist() == [True, False, True, True]


def test_values_are_scaled_and_no_data_is_nan_in_every_format(tmp_path: Path) -> None:
    values = cube()
    values[1, 2] = -9999
    values[3, 1, 2] = -9999
    expected = np.where(values == -9999, np.nan, values / 10000.0)
    said = {"data ignore value": -9999, "reflectance scale factor": 10000}
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(2.5, 0, 500000, 0, -2.5, 5e6)}
    info = "{UTM, 1, 1, 500000, 5000000, 2.5, 2.5, 32, North, WGS-84}"
    scales = {"scales": (1e-4,) * 4, "offsets": (0.0,) * 4, "nodata": -9999}
    for path in (
        write_envi(tmp_path / "e.hdr", values, "bil", **said, **{"map info": info}),
        write_tiff(tmp_path / "t.tif", values, **scales, **place),
    ):
        with open_cube(path) as c:
            np.testing.assert_allclose(c.read(), expected, rtol=1e-6)
            np.testing.assert_allclose(c.read(slice(1, 4), None, [2]), expected[1:4][:, :, [2]], rtol=1e-6)
            assert c.georef is not None
            np.testing.assert_allclose(c.georef.to_map(np.array([[2.0, 4.0]])), [[500005, 4999990]])
            assert c.georef.gsd_m() == pytest.approx(2.5, rel=2e-3)


def test_gains_and_offsets_of_bands(tmp_path: Path) -> None:
    gains = {"data gain values": "{1, 2, 0.5, 1}", "data offset values": "{0, 1,\n -1, 0}"}
    with open_cube(write_envi(tmp_path / "g.hdr", cube(), **gains)) as c:
        np.testing.assert_allclose(c.read(bands=[2, 1]), (cube() * [1, 2, 0.5, 1] + [0, 1, -1, 0])[..., [2, 1]])


def test_a_float_that_is_not_finite_is_nan_and_its_neighbours_are_not(tmp_path: Path) -> None:
    values = cube().astype(np.float32)
    values[2, 3, 1], values[0, 0, 0] = np.inf, np.nan
    np.save(tmp_path / "n.npy", values)
    for path in (tmp_path / "n.npy", write_tiff(tmp_path / "n.tif", values), write_envi(tmp_path / "n.hdr", values)):
        with open_cube(path) as c:
            assert np.argwhere(np.isnan(c.read())).tolist() == [[0, 0, 0], [2, 3, 1]]
            assert not np.isnan(c.read(bands=[2, 3])).any()


@pytest.mark.parametrize(
    ("values", "unit", "nm"),
    [
        ("{0.4, 0.5, 0.6, 2.4}", "Micrometers", [400, 500, 600, 2400]),
        ("{0.4, 0.5, 0.6, 2.4}", None, [400, 500, 600, 2400]),
        ("{400, 500, 600, 2400}", "Unknown", [400, 500, 600, 2400]),
        ("{25000, 20000, 10000, 5000}", "Wavenumber", [400, 500, 1000, 2000]),
        ("{1, 2, 3, 4}", "Index", None),
        ("{0, 2, 3, 4}", "nm", None),
    ],
)
def test_wavelengths_of_any_unit(tmp_path: Path, values: str, unit: str | None, nm: list[float] | None) -> None:
    said = {"wavelength": values} | ({"wavelength units": unit} if unit else {})
    with open_cube(write_envi(tmp_path / "w.hdr", cube(), **said)) as c:
        if nm is None:
            assert c.wavelengths_nm is None
        else:
            np.testing.assert_allclose(c.wavelengths_nm, nm)


def test_wavelengths_of_tiffs_and_matlab_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nm = [450.0, 550.0, 650.0, 850.0]
    tags = [{"wavelength": f"{v / 1000}", "wavelength_units": "Micrometers"} for v in nm]
    io.savemat(tmp_path / "w.mat", {"cube": cube(), "wavlength": np.array(nm)[:, None], "spectra": np.ones((4, 1))})
    for path in (write_tiff(tmp_path / "w.tif", cube(), band_tags=tags), tmp_path / "w.mat"):
        with open_cube(path) as c:
            np.testing.assert_allclose(c.wavelengths_nm, nm)
            assert bands_of("500-700nm", c) == [1, 2]
            assert bands_of("0.8-0.9um,1", c) == [3, 0]


def test_bad_bands_are_left_out_and_told_unless_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_envi(tmp_path / "b.hdr", cube(), bbl="{1, 0, 0, 1}")
    with open_cube(path) as c:
        assert bands_of("all", c) == bands_of(None, c) == [0, 3]
        assert "2 bad bands are left out, as its header says: 2-3" in capsys.readouterr().out + caplog.text
        assert bands_of("1-3", c) == [0]
        assert bands_of([4, 2], c) == [3, 1]
        with pytest.raises(DataError, match="leaves no band"):
            bands_of("2-3", c)
        for wrong in ("0", "5", "3-9", "red", "450-900nm", True, 1.5, "3-2"):
            with pytest.raises(ConfigError, match=r"bands=.*1 to 4"):
                bands_of(wrong, c)


def test_a_key_that_is_not_there_is_answered_by_those_that_are(tmp_path: Path, same: dict[str, Path]) -> None:
    for kind in ("v5", "v7.3"):
        with pytest.raises(ConfigError, match=r"has no Data1; it has .*data \(7 x 5 x 4\)"):
            open_cube(same[kind], key="Data1")
        with open_cube(same[kind], key=["HSI", "DATA"]) as c:  # capitals do not matter where that is one
            assert c.shape == SHAPE
    io.savemat(tmp_path / "two.mat", {"a": cube(), "b": cube()})
    with pytest.raises(ConfigError, match=r"2 arrays that could be the cube; it has a .*, b .*: name one with key="):
        open_cube(tmp_path / "two.mat")
    with pytest.raises(ConfigError, match="for MATLAB files"):
        open_cube(same["npy"], key="data")
    with pytest.raises(ConfigError, match="leave axes out"):
        open_cube(same["tiff"], axes="BHW")


def test_axes_that_the_wavelengths_contradict_are_refused_with_those_that_fit(tmp_path: Path) -> None:
    io.savemat(tmp_path / "w.mat", {"x": cube().transpose(2, 0, 1), "wavelengths": [400.0, 500.0, 600.0, 700.0]})
    with pytest.raises(DataError, match=r"4 rows, 7 columns and 5 bands.*give axes=BHW"):
        open_cube(tmp_path / "w.mat")
    with open_cube(tmp_path / "w.mat", axes="BHW") as c:
        assert c.shape == SHAPE


def test_axes_that_the_map_beside_contradicts_are_refused_with_those_that_fit(tmp_path: Path) -> None:
    io.savemat(tmp_path / "m.mat", {"data": cube().transpose(2, 0, 1), "map": np.ones(SHAPE[:2])})
    with pytest.raises(DataError, match=r"data is 4 x 7 x 5 and map beside it 7 x 5: give axes=BHW, or axes=HWB where"):
        open_cube(tmp_path / "m.mat")
    for axes, shape in (("BHW", SHAPE), ("HWB", (4, 7, 5))):
        with open_cube(tmp_path / "m.mat", axes=axes) as c:
            assert c.shape == shape
    io.savemat(tmp_path / "r.mat", {"data": cube()[:1], "spectra": np.ones((4, 3))})  # one row, and no map
    with open_cube(tmp_path / "r.mat") as c:
        assert c.shape == (1, 5, 4)


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "p.mat").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="git lfs pull"):
        open_cube(tmp_path / "p.mat")


def test_arrays_inside_structs_and_cells(tmp_path: Path) -> None:
    lidar = np.empty((1, 2), object)
    lidar[0, 0], lidar[0, 1] = {"z": cube()[..., 0]}, {"z": cube()[..., 1]}
    io.savemat(tmp_path / "s.mat", {"hsi": {"Data": cube(), "Lidar": lidar, "sceneLabels": {"labels": cube()[..., 2]}}})
    with open_cube(tmp_path / "s.mat", key="hsi.Data") as c:
        np.testing.assert_array_equal(c.read(), cube())
    for n in (0, 1):
        with open_cube(tmp_path / "s.mat", key=f"hsi.Lidar[{n}].z") as c:
            assert c.shape == (7, 5, 1)
            np.testing.assert_array_equal(c.read()[..., 0], cube()[..., n])
    np.testing.assert_array_equal(label_map(tmp_path / "s.mat", "hsi.sceneLabels.labels"), cube()[..., 2])


def test_hdf5_leads_into_no_other_file(tmp_path: Path) -> None:
    write_v73(tmp_path / "other.mat", {"secret": cube()})
    with h5py.File(tmp_path / "a.mat", "w") as f:
        f["link"] = h5py.ExternalLink("other.mat", "/secret")
        f["soft"] = h5py.SoftLink("/link")
        layout = h5py.VirtualLayout(SHAPE, np.int16)
        layout[:] = h5py.VirtualSource(tmp_path / "other.mat", "secret", SHAPE[::-1]).__getitem__(slice(None))
        f.create_virtual_dataset("virtual", layout)
    with pytest.raises(ConfigError, match="no arrays of numbers"):
        open_cube(tmp_path / "a.mat")


def test_nothing_runs_of_an_array_of_objects(tmp_path: Path) -> None:
    class Made:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    np.save(tmp_path / "a.npy", np.array([Made()], object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Made()))
    for name in ("a.npy", "b.npy"):
        for read in (open_cube, label_map):
            with pytest.raises(DataError, match=name):
                read(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "b.npy").read_bytes())
    assert (tmp_path / "ran").exists()  # it would have


def test_hdf5_that_leads_in_circles_is_read_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as f:
        loop = f.create_dataset("loop", (40, 1), dtype=h5py.ref_dtype)
        loop[:, 0] = [loop.ref] * 40
        group = f.create_group("group")
        for n in range(40):
            group[f"again{n}"] = group
        f["data"] = cube()
    with open_cube(tmp_path / "a.mat") as c:
        np.testing.assert_array_equal(c.read(), cube())


def test_headers_of_any_alphabet_and_samples_beyond_what_the_header_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_envi(tmp_path / "größe.hdr", cube(), **{"sensor type": "{α,\n = β}", "map info": "{nonsense}"})
    text = path.read_text()
    for written in (text.encode(), text.replace("α", "µ").replace("β", "ß").encode("latin-1")):
        path.write_bytes(written)
        with open_cube(path) as c:
            np.testing.assert_array_equal(c.read(), cube())
    with open(path.with_suffix(".img"), "ab") as f:
        f.write(bytes(6))
    open_cube(path).close()
    told = capsys.readouterr().out + caplog.text
    assert "6 bytes more than größe.hdr says" in told
    assert "map info tells no place" in told


def test_an_hdf5_that_matlab_did_not_write_keeps_its_axes_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with open_cube(write_v73(tmp_path / "p.mat", {"data": cube()}, by_matlab=False)) as c:
        np.testing.assert_array_equal(c.read(), cube())
    assert "not written by MATLAB" in capsys.readouterr().out + caplog.text


def test_a_table_as_a_map_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("0,1\n1,2\n")
    with pytest.raises(DataError, match=r"l\.csv is a table of text; save it as NPY"):
        label_map(tmp_path / "l.csv")


def test_label_maps_of_every_format(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    labels = np.random.default_rng(1).integers(0, 6, SHAPE[:2]).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "l.png"), labels)
    cv2.imwrite(str(tmp_path / "grey.png"), np.repeat(labels[..., None], 3, axis=2))
    np.save(tmp_path / "l.npy", labels.astype(np.float64))
    io.savemat(tmp_path / "l.mat", {"gt": labels, "note": np.ones((9, 1))})
    files = [write_envi(tmp_path / "l.hdr", labels[..., None]), write_tiff(tmp_path / "l.tif", labels[..., None])]
    for path in (*files, *(tmp_path / f"{n}" for n in ("l.png", "grey.png", "l.npy", "l.mat"))):
        found = label_map(path)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(label_map(tmp_path / "l.mat", axes="WH"), labels.T)
    np.save(tmp_path / "f.npy", labels / 2)
    with pytest.raises(DataError, match=r"whole numbers, received [0-2]\.5"):
        label_map(tmp_path / "f.npy")
    cv2.imwrite(str(tmp_path / "c.png"), np.dstack([labels, labels * 9, labels]))
    with pytest.raises(DataError, match="holds colours"):
        label_map(tmp_path / "c.png")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lines": 70}, r"has 280 bytes and b\.hdr says 2,800"),
        ({"lines": 0}, "lines = 0 must be"),
        ({"header offset": "-9"}, "header offset = -9 must be a whole number of 0 or more"),
        ({"description": "{cut"}, "list of description is not closed"),
        ({"bands": "many"}, "bands = many must be"),
        ({"data type": 6}, "complex"),
        ({"data type": 77}, "no type that ENVI knows"),
        ({"interleave": "bsx"}, "interleave = bsx"),
        ({"byte order": 3}, "byte order = 3"),
        ({"wavelength": "{400, 500}"}, "wavelength has 2 numbers for 4 bands"),
        ({"bbl": "{1, 1, x, 1}"}, "no number"),
        ({"file compression": 1}, "file compression is not read"),
        ({"reflectance scale factor": 0}, "must be above 0"),
    ],
)
def test_headers_that_contradict_themselves(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_cube(write_envi(tmp_path / "b.hdr", cube(), **fields))


def test_files_that_are_no_cubes_are_refused_in_one_line(tmp_path: Path, same: dict[str, Path]) -> None:
    (tmp_path / "empty.mat").write_bytes(b"")
    (tmp_path / "cut.mat").write_bytes(same["packed"].read_bytes()[:200])
    (tmp_path / "cut73.mat").write_bytes(same["v7.3"].read_bytes()[:900])
    (tmp_path / "text.mat").write_text("hello")
    (tmp_path / "x.hdr").write_text("no header")
    (tmp_path / "alone.hdr").write_text("ENVI\nsamples=2\nlines=2\nbands=2\ndata type=2\ninterleave=bip\n")
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")
    (tmp_path / "y.npy").write_bytes(b"\x93NUMPY\x01\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 9, 9)}")
    np.savez(tmp_path / "z.npz", np.zeros((2, 2, 2)))
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 2, 2)))
    np.save(tmp_path / "none.npy", np.zeros((0, 2, 2)))
    np.save(tmp_path / "complex.npy", np.zeros((2, 2, 2), complex))
    np.save(tmp_path / "words.npy", np.full((2, 2, 2), "x"))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises((DataError, ConfigError)) as e:
            open_cube(path)
        assert path.name in str(e.value)
        assert "\n" not in str(e.value)


def test_the_shared_scenes(shared_data: Path) -> None:
    folder = shared_data / "hsi-anomaly"
    if not folder.is_dir():
        pytest.skip("no hsi-anomaly among the shared data")
    facts = {"sandiego_plane": (100, 100, 189, 134), "HYDICE_data": (100, 80, 162, 19)}
    for name, (height, width, bands, anomalies) in facts.items():
        with open_cube(folder / f"{name}.mat") as c:
            assert c.shape == (height, width, bands)
            assert np.isfinite(c.read()).all()
        assert np.bincount(label_map(folder / f"{name}.mat").ravel()).tolist() == [
            height * width - anomalies,
            anomalies,
        ]
