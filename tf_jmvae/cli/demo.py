"""`tf-jmvae demo`: serves a web page of a model."""

from dataclasses import dataclass
from pathlib import Path

from tf_jmvae._utils.pretrained import located
from tf_jmvae.cli.common import AnyModel, Common, load_tensorflow


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Try a model in the browser; Ctrl-C ends it. It needs pip install 'tf-jmvae[demo]'.

    Examples:
      tf-jmvae demo
      tf-jmvae demo runs/mnist-jmvae-kl --port 8080
      tf-jmvae demo mnist_jmvae_kl --host 0.0.0.0 --no-browser
    """

    model: AnyModel = None
    """The folder of a run, a model.keras, an exported SavedModel, or the address of a served one."""
    port: int = 7860
    """Port of the page."""
    host: str = "127.0.0.1"
    """Address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for everyone."""
    no_browser: bool = False
    """Do not open the page in the browser."""


def run(options: Options) -> None:
    """Serves the page until interrupted."""
    if not 0 <= options.port < 2**16:
        raise ValueError(f"--port must lie between 0 and {2**16 - 1}; got {options.port}.")
    if options.model is not None and "://" not in options.model and not Path(located(options.model)).exists():
        raise FileNotFoundError(f"There is no model {options.model}.")
    load_tensorflow(debug=options.debug)
    from tf_jmvae import demo

    demo.launch(options.model, host=options.host, port=options.port, open_browser=not options.no_browser)
