"""A web page on this machine to try a model: generate, recognise, edit, walk and interpolate."""

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
    """Shows a model on a web page, until Ctrl-C.

    The page and its server use this machine only. Uploads are kept in a temporary folder until the server ends.

    Args:
      model: Path or address that `tf_jmvae.open_model` opens: the folder or archive of an exported model, a run's
        folder, a `.keras` file or the address of a served model; by default the pre-trained model of MNIST,
        `"mnist_jmvae_kl"`.
      host: Address to listen at; any other than this machine's own, 127.0.0.1, the default, lets others see the page.
      port: Port to listen at, by default 7860; if it is taken, the next free one. 0 takes any.
      open_browser: Whether to show the page in the web browser; by default True.

    Raises:
      FileNotFoundError: there is no such model.
      ImportError: Gradio is not installed: it comes with the extra `demo`.
      RunError: the `.keras` file is damaged.
      ValueError: the model is damaged or has no pictures, or the host or port cannot be used.
    """
    from tf_jmvae.demo.interface import DemoModel
    from tf_jmvae.serving.opening import open_model

    with extra("demo", "The demo"):
        import gradio  # noqa: F401
    from tf_jmvae.demo import page as pages

    host = host.strip("[]")  # of an IPv6 address as in a URL
    path = default_model() if model is None else model
    taken, port = port, pages.free_port(host, port)
    if taken not in (port, 0):
        print(f"Port {taken} is taken, so the page is at {port}.")
    print(f"Loading {path} ...")
    # SIGTERM ends it as Ctrl-C does, or the temporary folder would stay.
    with terminable(lambda *_: sys.exit(128 + signal.SIGTERM)), pages.environment(host):
        opened = DemoModel(open_model(path))
        page = pages.page(opened)
        try:
            address = pages.serve(page, host, port, open_browser=open_browser)
            print(f"The page of {opened.name} is {address} - Ctrl-C ends it.", flush=True)
            if not pages.is_loopback(host):
                print(f"Everyone who reaches {host} can use it: there is no password.", flush=True)
            page.block_thread()
        finally:
            page.close(verbose=False)
