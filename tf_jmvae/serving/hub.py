"""Loading of exported models from a folder, an archive or a URL, with checks before anything runs."""

import contextlib
import importlib
import os
import sys
import tarfile
import tempfile
import types
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_jmvae._utils import pretrained
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.tables import first_of
from tf_jmvae.serving import archives, card, inspection
from tf_jmvae.serving.local import LocalModel
from tf_jmvae.serving.request import Signature
from tf_jmvae.specs import ModelSpec

__all__ = ["HubModel", "import_tensorflow_hub", "load"]

_EXPECTED = (
    "Expected what model.export() wrote: the model's folder, one of its versions, an archive of either "
    f"({', '.join(archives.SUFFIXES)}), or the URL of a .tar.gz; or a pre-trained model: {', '.join(pretrained.NAMES)}."
)


class HubModel(LocalModel):
    """Exported model in this process, with the methods of `InferenceModel`.

    Values outside the support of the likelihoods in its card are refused.

    Attributes:
      card: dict of the content of `model_card.json`, the model's description.
      path: path of the version's folder, or of the archive.
    """

    def __init__(self, loaded: Any, content: Mapping[str, Any], path: str):
        self._loaded, self.card, self.path = loaded, content, path  # the loaded object owns the functions' variables
        signatures, functions = {}, {}
        for name, run in loaded.signatures.items():
            signatures[name] = Signature.of(run.structured_input_signature[1], run.structured_outputs)
            functions[name] = lambda tensors, run=run: run(**tensors)
        super().__init__(ModelSpec.from_json(content), signatures, functions)

    def __repr__(self) -> str:
        modalities = ", ".join(self.card["modalities"])
        return f"<HubModel {self.card['name']!r}: {self.card['kind']} of {modalities}, from {self.path}>"


def load(handle: str | bytes | os.PathLike, *, allow_unsafe: bool = False) -> HubModel:
    """Loads an exported model, without the classes of which it was made.

    Args:
      handle: path of the model's folder `NAME`, whose newest version is loaded; of a version's folder, `NAME/VERSION`;
        or of an archive of either; or an `http(s)://` or `gs://` URL of a `.tar.gz` of either, which TensorFlow Hub
        downloads once and keeps in `$TFHUB_CACHE_DIR`. A leading `~` is the home folder. Versions and files in a folder
        may be symbolic links, because their content is checked. If the path does not exist, it may be the name of a
        pre-trained model, `"mnist_jmvae_kl"` or `"emoji"`.
      allow_unsafe: whether to load a graph even if its ops read or write files, use the network or run Python; by
        default False. Only for models that you trust like a program, because such a graph has all your permissions.

    Returns:
      `HubModel` with the methods of `InferenceModel` and the model's `card`.

    Raises:
      FileNotFoundError: if the file or folder does not exist, or holds no exported model.
      ImportError: for a URL, if tensorflow_hub is missing, which comes with the extra `serving`.
      OSError: if the URL cannot be downloaded.
      ValueError: if the model is damaged, was changed after its export, or is unsafe to load; if an archive holds links
        or paths that lead out of it, or exceeds `archives.MAX_BYTES`; or if the handle is of another kind.
    """
    handle = pretrained.located(os.fsdecode(handle))
    is_url = "://" in handle
    if not is_url:
        handle = os.path.expanduser(handle)  # noqa: PTH111 - keeps "~" where there is no such user
    packed = not Path(handle).is_dir()
    with contextlib.ExitStack() as stack:
        root = _download(handle) if is_url else _on_disk(Path(handle), stack)
        try:
            folder = _version_folder(root, packed=packed)
            if not (folder / card.CARD).exists():
                raise FileNotFoundError(
                    f"{folder} is a SavedModel without {card.CARD}: model.export() did not write it. {_EXPECTED} "
                    "tf.saved_model.load() loads other SavedModels, and checks none of them."
                )
            content = card.read(folder, links=not packed)
            card.verify(folder, content, links=not packed)
        except (FileNotFoundError, ValueError) as error:
            if not is_url:
                raise
            raise ValueError(
                f"{error} TensorFlow Hub keeps the download in {root}: remove it, then load again."
            ) from error
        found = [] if allow_unsafe else inspection.unsafe_ops(folder)
        if found:
            raise ValueError(
                f"{handle} is not loaded, since it could touch files or the network, or run Python: "
                f"{first_of(found, most=10, separator='; ')}. If you trust whoever made it, call load(.., "
                "allow_unsafe=True)."
            )
        loaded = tf.saved_model.load(str(folder))
    return HubModel(loaded, content, handle if Path(handle).is_file() else str(folder))


def import_tensorflow_hub() -> types.ModuleType:
    """Imports `tensorflow_hub`, with a stand-in for `pkg_resources`, which it needs and setuptools no longer has.

    Raises:
      ImportError: if `tensorflow_hub` is missing, which comes with the extra `serving`.
    """
    stand_in = types.ModuleType("pkg_resources")
    used = sys.modules.setdefault("pkg_resources", stand_in)
    try:
        with extra("serving", "A model's URL, unlike a folder or an archive,"):
            stand_in.parse_version = importlib.import_module("packaging.version").parse
            return importlib.import_module("tensorflow_hub")
    finally:
        if used is stand_in:
            del sys.modules["pkg_resources"]


def _on_disk(path: Path, stack: contextlib.ExitStack) -> Path:
    """Returns the folder with a path's content; that of an archive is temporary, for the lifetime of `stack`."""
    if path.is_dir():
        return path
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. {_EXPECTED}")
    if not path.name.lower().endswith(archives.SUFFIXES):
        raise ValueError(f"{path} is neither a folder nor an archive. {_EXPECTED}")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tf_jmvae-")))
    archives.unpack(path, folder)
    return folder


def _download(url: str) -> Path:
    if not url.startswith(("http://", "https://", "gs://")):
        raise ValueError(f"{url} has a scheme that TensorFlow Hub does not know. {_EXPECTED}")
    try:
        folder = import_tensorflow_hub().resolve(url)
    except (OSError, EOFError, tarfile.TarError, zlib.error, tf.errors.OpError) as error:
        raise OSError(f"{url} cannot be downloaded ({type(error).__name__}: {error}). {_EXPECTED}") from error
    except ValueError as error:
        raise ValueError(f"{url} is refused ({error}). {_EXPECTED}") from error
    if not Path(folder).is_dir():
        raise ValueError(f"{url} is not an archive. Copy the folder to this machine, or name a .tar.gz. {_EXPECTED}")
    return Path(folder)


def _version_folder(root: Path, *, packed: bool) -> Path:
    """Returns the folder with the SavedModel: `root` or its newest version, in archives also within single folders."""
    folder = root
    for _ in range(3):
        if version := card.version_folder(folder):
            return version
        children = _folders(folder)
        if not packed or len(children) != 1:
            break
        folder = children[0]
    models = []
    for path in sorted(_folders(folder)):
        with contextlib.suppress(OSError):
            models += [repr(path.name)] if card.newest_version(path) else []
    plural = "s" if len(models) > 1 else ""
    found = f"It holds the model{plural} {first_of(models, most=10)}: load one of them. " if models else ""
    raise FileNotFoundError(
        f"{folder} has neither {card.MODEL_FILE} nor folders named by version numbers that have one. {found}{_EXPECTED}"
    )


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and path.name != "__MACOSX"]
