"""Weights on the Hugging Face Hub: plain ones, with their model YAML and a card. Nothing is asked of it unless called.

A repository holds ``model.safetensors`` (:func:`rsdet.checkpoint.save_plain`; all that is read), ``model.yaml`` (the
same YAML, for people) and ``README.md``. No code of a repository is run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from rsdet._version import __version__
from rsdet.checkpoint import save_plain
from rsdet.errors import CheckpointError, ConfigError, MissingDependencyError, WriteError, install
from rsdet.modelyaml import YAML_SUFFIXES
from rsdet.names import class_names

WEIGHTS = "model.safetensors"
LICENCE = "agpl-3.0"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = {".pt", ".pth", ".safetensors", ".onnx", ".engine", ".torchscript", ".xml", ".json", *YAML_SUFFIXES}


def is_repository(name: str) -> bool:
    """Whether a name is ``org/name``, no file here, and does not end like one: a typing error asks nobody."""
    return (
        _REPOSITORY.fullmatch(name) is not None and Path(name).suffix.lower() not in _FILES and not Path(name).exists()
    )


def _hub() -> Any:
    """The package huggingface_hub.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as e:
        raise MissingDependencyError(f"the Hub needs huggingface_hub, which is missing; {install('hub')}.") from e
    return huggingface_hub


def _checked(repository: str) -> str:
    if not isinstance(repository, str) or _REPOSITORY.fullmatch(repository) is None:
        raise ConfigError(f"{repository!r} is no repository of the Hub; write it as org/name.")
    return repository


@contextmanager
def _refusals(what: str, error: type[CheckpointError] | type[WriteError]) -> Iterator[None]:
    """Say in one line what the Hub or the way to it refuses."""
    try:
        yield
    except Exception as e:  # whatever huggingface_hub, and what it asks the network by, raises
        why = (str(e).strip().splitlines() or [type(e).__name__])[0][:200]
        raise error(f"{what} ({why}); check name, network and token (hf auth login).") from e


def pull(repository: str, revision: str | None = None, token: str | None = None) -> Path:
    """Fetch the weights of a repository into the cache of huggingface_hub, or find them there.

    Args:
        repository: ``org/name``.
        revision: Branch, tag or commit; a commit is the same for ever.
        token: For private repositories; the stored one where None.

    Returns:
        The file.

    Raises:
        ConfigError: No name of a repository.
        MissingDependencyError: huggingface_hub is not installed.
        CheckpointError: There is no such repository, it holds no weights of rsdet, or it cannot be reached.
    """
    repository, hub = _checked(repository), _hub()
    with _refusals(f"{WEIGHTS} of {repository} cannot be fetched from the Hub", CheckpointError):
        return Path(hub.hf_hub_download(repository, WEIGHTS, revision=revision, token=token))


def push(
    network: Any,
    repository: str,
    *,
    half: bool = True,
    card: Mapping[str, Any] | None = None,
    private: bool = False,
    token: str | None = None,
    message: str = "Weights of rsdet",
) -> str:
    """Put weights into a repository of the Hub, which is made where it is missing.

    Args:
        network: The network.
        repository: ``org/name``.
        half: Parameters in half precision.
        card: What is known of the weights, see :data:`rsdet.zoo.FIELDS`.
        private: Make a repository that others cannot see.
        token: The stored one where None.
        message: Of the commit.

    Returns:
        The address of the repository.

    Raises:
        ConfigError: No name of a repository.
        MissingDependencyError: huggingface_hub is not installed.
        WriteError: The Hub refuses it, or cannot be reached.
    """
    repository, page = _checked(repository), card_page(repository, network, card or {})
    hub = _hub()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        save_plain(network, place / WEIGHTS, half)
        (place / "model.yaml").write_text(yaml.safe_dump(network.yaml, sort_keys=False), encoding="utf-8")
        (place / "README.md").write_text(page, encoding="utf-8")
        with _refusals(f"the weights were not written to {repository}", WriteError):
            api = hub.HfApi(token=token)
            url = str(api.create_repo(repository, private=private, exist_ok=True))
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    logging.getLogger("rsdet").info("%s: %s", repository, url)
    return url


_PIPELINES = {
    "detect": "object-detection",
    "obb": "object-detection",
    "segment": "image-segmentation",
    "semantic": "image-segmentation",
    "restore": "image-to-image",
    "vqa": "visual-question-answering",
}


def card_page(repository: str, network: Any, card: Mapping[str, Any]) -> str:
    """The page of a repository: the Hub's own header, what the card says, and how the weights are used.

    Args:
        repository: ``org/name``.
        network: The network.
        card: See :data:`rsdet.zoo.FIELDS`; empty where nobody has written one, which the page says.

    Raises:
        ConfigError: The card holds something else than plain values.
    """
    task = str(getattr(network, "task", "detect"))
    header = {
        "library_name": "rsdet",
        "license": LICENCE,
        "tags": ["rsdet", "remote-sensing", task],
        **({"pipeline_tag": _PIPELINES[task]} if task in _PIPELINES else {}),
    }
    names = ", ".join(class_names(network.names, twins=True).values())
    try:
        facts = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=100) if card else ""
    except (TypeError, ValueError, yaml.YAMLError) as e:
        raise ConfigError(f"card={card!r} must be a mapping of plain values, as rsdet.zoo.FIELDS names them.") from e
    known = f"```yaml\n{facts}```" if facts else "No card was written: what they were trained on is not known."
    return (
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n# {repository}\n\nWeights for `task={task}` of rsdet "
        f"{__version__}. Classes: {names}.\n\n```python\nfrom rsdet import RSDet\n\n"
        f'model = RSDet.from_pretrained("{repository}")\n```\n\n{known}\n'
    )
