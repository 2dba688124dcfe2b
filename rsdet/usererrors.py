"""Problems of the user's that Ultralytics, PyTorch or the system report in their own ways, told in one line of ours.

Ultralytics has no error class of its own: a wrong key is a SyntaxError, a wrong size a ValueError, a missing dataset a
RuntimeError of several lines. What tells them from bugs is the place: they come from the functions that look at
arguments, files and data, listed in ``_CHECKS``. Everything raised elsewhere keeps its type and its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import re
import unicodedata
from collections.abc import Iterator

from rsdet.errors import CheckpointError, ConfigError, DataError, MissingDependencyError, RSDetError, install
from rsdet.writing import not_written, why_full

# (module of Ultralytics, functions or none for all of them, error, remedy)
_CHECKS: tuple[tuple[str, tuple[str, ...], type[RSDetError], str], ...] = (
    ("cfg", ("check_cfg", "check_dict_alignment", "get_cfg", "_handle_deprecation"), ConfigError, "see `rsdet --help`"),
    ("utils.torch_utils", ("select_device", "parse_device"), ConfigError, "use device=cpu or the number of a GPU here"),
    ("utils.checks", ("check_imgsz",), ConfigError, "use a multiple of 32 such as imgsz=640"),
    ("utils.checks", ("check_file", "check_yaml"), DataError, "check the path"),
    ("utils", ("load",), ConfigError, "mend the YAML file"),
    ("utils.patches", ("imread",), DataError, "OpenCV cannot read this image; save it again or cut it into tiles"),
    ("nn.autobackend", ("check_class_names",), DataError, "mend names: in the data YAML"),
    ("utils.downloads", (), DataError, "check the address and the network"),
    ("utils.autobatch", (), ConfigError, "give a number, such as batch=8"),
    ("data.loaders", (), DataError, "pass an image, a folder, a glob or a video that can be opened"),
    ("data.build", ("check_source", "load_inference_source"), DataError, "pass an image, a folder, a glob or a video"),
    ("data.base", ("load_image",), DataError, "damaged or cut short, copy it again or take it out"),
    ("data.base", ("get_img_files",), DataError, "mend the paths in the data YAML"),
    ("data.dataset", (), DataError, "check the images, and that the labels folder mirrors the images folder"),
    ("data.utils", (), DataError, "mend the data YAML; it needs train, val and names, and maybe path"),
    ("engine.model", ("_check_is_pytorch_model",), ConfigError, "pass a model YAML or .pt weights"),
    ("engine.trainer", ("check_resume",), CheckpointError, "pass model= the last.pt of an interrupted run"),
    ("engine.trainer", ("resume_training",), CheckpointError, "leave resume= out to start anew from these weights"),
    ("engine.trainer", ("build_optimizer",), ConfigError, "use one of these names, such as AdamW"),
    ("engine.trainer", ("_setup_train", "_build_train_pipeline"), ConfigError, "change this argument"),
)
_LONG = ("_setup_train", "_build_train_pipeline")  # do much else: only what they raise themselves is the user's
_MEANT = (AssertionError, AttributeError, KeyError, OSError, RuntimeError, SyntaxError, TypeError, ValueError)
_NO_ACCESS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Lines that Ultralytics adds and that say nothing about what is wrong here.
_ADDED = re.compile(
    r"(\s|\. )*(Note dataset download dir|See https?://|Supported (image )?formats are|torch\.cuda\.is_available\(|"
    r"Recommended fixes|For supported types|PyTorch models can train|Request support for|Use 'device=cpu' or pass|"
    r"Start a new training without|This is an internal miniz error).*",
    re.DOTALL,
)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn problems of the user's into one-line errors; also a decorator. Bugs pass through as they are.

    Raises:
        RSDetError: In place of what Ultralytics, PyTorch or the system raised, which stays as its cause.
    """
    try:
        yield
    except (RSDetError, BrokenPipeError) as e:  # a closed pipe (rsdet list | head) is nobody's mistake
        if str(e).startswith("Caught ") and "Original Traceback" in str(e):  # from a worker process, as text only
            raise type(e)(str(e).strip().splitlines()[-1].partition(": ")[2]) from e
        raise
    except Exception as e:
        found = _of_memory(e) or _of_package(e) or _of_ultralytics(e) or _of_system(e)
        if found is None:
            raise
        raise found from e


_PIP = {  # packages whose name on the index is another than that of the module
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def one_line(text: str) -> str:
    """Text without colours, pictograms, line breaks and addresses of help pages, and not longer than it can be read."""
    text = _ADDED.sub("", _ANSI.sub("", text))
    text = "".join(c for c in text if unicodedata.category(c) != "So" and c != "\ufe0f")
    text = re.sub(r"\s+", " ", text).replace(" . ", ". ").strip(" .,;")
    # Long paths come first in most messages, and what is wrong with the file last.
    return text if len(text) <= 350 else f"{text[:150]} ... {text[-200:]}"


def _of_memory(e: Exception) -> RSDetError | None:
    if type(e).__name__ == "OutOfMemoryError":  # torch's; not imported here, the command line's help needs no torch
        return RSDetError("the memory of the GPU is full; lower batch= or imgsz=, or use a smaller model.")
    full = isinstance(e, RuntimeError) and "can't allocate memory" in str(e)  # PyTorch's on a CPU
    if isinstance(e, MemoryError) or full or (type(e).__module__ == "cv2" and "Insufficient memory" in str(e)):
        return RSDetError("the memory is full; lower batch= or imgsz=, or cut the images into tiles.")
    return None


def _of_package(e: Exception) -> RSDetError | None:
    name = getattr(e, "name", None)
    if not isinstance(e, ModuleNotFoundError):
        return None
    if name in {"torch", "ultralytics"}:
        return MissingDependencyError(
            f"this needs PyTorch and Ultralytics, and {name} is not installed; pip install torch ultralytics. `rsdet "
            "predict` with an exported .onnx file does without, for the tasks that docs/howto/deploy.md names."
        )
    if name and name.split(".")[0] not in {"rsdet", "ultralytics"}:
        name = name.split(".")[0]
        how = install(name) if name in {"openvino", "tensorrt"} else f"pip install {_PIP.get(name, name)}"
        return MissingDependencyError(f"this needs the package {name}, which is not installed; {how}.")
    return None


def _of_ultralytics(e: BaseException | None) -> RSDetError | None:
    if e is None:
        return None
    text, (module, function, raised_there) = str(e.args[0] if isinstance(e, KeyError) and e.args else e), _place(e)
    if module.startswith("nn.backends") and function == "load_model":  # whatever the runtime raises
        why = one_line(text) or type(e).__name__
        return CheckpointError(f"the exported file cannot be loaded ({why}); export it again.")
    if not isinstance(e, _MEANT) and not type(e).__module__.startswith("cv2"):
        return None
    if text.startswith("Caught ") and "Original Traceback" in text:  # from a worker process, as text only
        frames = re.findall(r'/ultralytics/(\S+)\.py", line \d+, in (\w+)', text)
        module, function = frames[-1] if frames else ("", "")
        module = module.replace("/", ".").removesuffix(".__init__")
        text = text.strip().splitlines()[-1].partition(": ")[2]
    if (module, function) == ("engine.trainer", "get_dataset"):  # wraps what was wrong with the data YAML
        return e.__cause__ if isinstance(e.__cause__, RSDetError) else _of_ultralytics(e.__cause__)
    for known, functions, error, remedy in _CHECKS:
        if module == known and (not functions or function in functions) and (raised_there or function not in _LONG):
            if function == "get_img_files" and e.__cause__ is not None:
                text = str(e.__cause__)  # the error itself only says that loading failed
            text = text.replace("Image Not Found", "cannot decode")  # it was found: its header was read before
            return error(f"{one_line(text) or type(e).__name__}; {remedy}.")
    return None


def _place(e: BaseException) -> tuple[str, str, bool]:
    """Module (below ``ultralytics``) and function of the innermost frame of Ultralytics; whether it is the last.

    Types and texts tell the user's mistakes from bugs in no release; who raised them does, hence the frames.
    """
    place, tb = ("", "", False), e.__traceback__
    while tb is not None:
        package, _, module = tb.tb_frame.f_globals.get("__name__", "").partition(".")
        function = tb.tb_frame.f_code.co_name
        if package == "ultralytics" and not function.startswith("<"):  # such as <dictcomp>
            place = (module, function, tb.tb_next is None)
        tb = tb.tb_next
    return place


def _of_system(e: Exception) -> RSDetError | None:
    if not isinstance(e, OSError):
        return None
    where, why = e.filename or "", e.strerror or one_line(str(e))
    if e.errno in _NO_ACCESS or why_full(e):
        return not_written(where or "the disk", e)
    if e.errno == errno.ENOENT:
        return DataError(f"{where or why} does not exist; check the path.")
    return DataError(f"{why}{f' ({where})' if where else ''}; check the file and the disk.")
