"""Server of the page: on a free port, without a word to any other machine, and without traces when it ends."""

import contextlib
import errno
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator

import gradio as gr

from tf_jmvae.demo.theme import static, theme

__all__ = ["environment", "free_port", "serve"]

_TRIES = 20  # ports after the one that was asked for
_DIRECT = ("NO_PROXY", "no_proxy")
_MAX_UPLOAD = "20mb"
_MAX_WAITING = 32  # requests; more are told that the page is busy


@contextlib.contextmanager
def environment(host: str) -> Iterator[None]:
    """What Gradio reads from the environment while it builds and serves a page; put back afterwards.

    Uploads and generated pictures go to a folder that is deleted at the end, and Gradio's requests to its own page are
    kept from a proxy.
    """
    with tempfile.TemporaryDirectory(prefix="tf_jmvae-demo-") as folder:
        direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost", host]))
        values = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder, **dict.fromkeys(_DIRECT, direct)}
        before = {name: os.environ[name] for name in values if name in os.environ}
        os.environ.update(values)
        try:
            yield
        finally:
            for name in values:
                os.environ.pop(name, None)
            os.environ.update(before)


def free_port(host: str, port: int) -> int:
    """`port`, or the next one that is free; 0 takes any. Raises `ValueError` if there is no such port or host."""
    if not 0 <= port < 2**16:
        raise ValueError(f"port must be a number from 0 to 65535; got {port}.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ValueError(
            f"host {host!r} is no address of this machine ({error}). For this machine alone: 127.0.0.1."
        ) from error
    for tried in range(port, min(port + _TRIES, 2**16)):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address[0], tried))
            except PermissionError as error:
                raise ValueError(f"Port {tried} needs rights that you do not have; take one from 1024 on.") from error
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise ValueError(f"host {host!r} is no address of this machine ({error}).") from error
                continue
            return probe.getsockname()[1]
    raise ValueError(f"Ports {port} to {tried} are taken; choose another with port=, or 0 for any that is free.")


def serve(page: gr.Blocks, host: str, port: int, *, open_browser: bool) -> str:
    """Starts the server in a thread of its own and returns the page's address; `page.close()` ends it."""
    page.queue(max_size=_MAX_WAITING, api_open=False, default_concurrency_limit=2)
    off = ("inline", "share", "run_history", "enable_monitoring", "ssr_mode", "pwa", "mcp_server")
    _, address, _ = page.launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        max_threads=8,
        max_file_size=_MAX_UPLOAD,
        state_session_capacity=100,
        footer_links=[],
        theme=theme(),
        css=static("page.css"),
        **dict.fromkeys(off, False),
    )
    return address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
