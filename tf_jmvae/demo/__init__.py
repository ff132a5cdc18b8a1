"""Local web page to try a model: generate, recognise, edit, fill, walk and interpolate."""

import os
import signal
import sys

from tf_jmvae._utils.command import terminable
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.pretrained import default_model

__all__ = ["launch"]


def launch(
    model: str | os.PathLike | None = None, *, host: str = "127.0.0.1", port: int = 7860, open_browser: bool = True
) -> None:
    """Serves a web page of a model until Ctrl-C.

    The page and its server use this machine only. Uploads are kept in a temporary folder until the server ends.

    Args:
      model: path or address that `tf_jmvae.open_model` opens: the folder or archive of an exported model, a run's
        folder, a `.keras` file or the address of a served model; by default the pre-trained model of MNIST,
        `"mnist_jmvae_kl"`.
      host: address to listen at; `"127.0.0.1"`, the default, restricts the page to this machine.
      port: port to listen at, or the next free one if it is taken; by default 7860. 0 takes any free port.
      open_browser: whether to open the page in the web browser; by default True.

    Raises:
      FileNotFoundError: if there is no model at the path.
      ImportError: if Gradio is missing, which comes with the extra `demo`.
      RunError: if the `.keras` file is damaged.
      ValueError: if the model is damaged or has no pictures, or the host or port cannot be used.
    """
    from tf_jmvae.demo.interface import DemoModel
    from tf_jmvae.serving.opening import open_model

    with extra("demo", "The demo"):
        import gradio  # noqa: F401
    from tf_jmvae.demo import page as pages

    host = host.strip("[]")  # brackets of an IPv6 address in a URL
    path = default_model() if model is None else model
    taken, port = port, pages.free_port(host, port)
    if taken not in (port, 0):
        print(f"Port {taken} is taken, so the page is at {port}.")
    print(f"Loading {path} ...")
    # SIGTERM is handled like Ctrl-C, or the temporary folder would remain.
    with terminable(lambda *_: sys.exit(128 + signal.SIGTERM)), pages.environment(host):
        opened = DemoModel(open_model(path))
        page = pages.page(opened)
        try:
            address = pages.serve(page, host, port, open_browser=open_browser)
            print(f"The page of {opened.name} is {address} - Ctrl-C ends it.", flush=True)
            if not pages.is_loopback(host):
                print(f"Anyone who can reach {host} can use the page: there is no password.", flush=True)
            page.block_thread()
        finally:
            page.close(verbose=False)
