"""The demo's page, with the tabs that apply to the model, and its local server."""

import contextlib
import errno
import html
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator

import gradio as gr

from tf_jmvae.demo import components, edit, fill, generate, interpolate, recognise, sample, walk
from tf_jmvae.demo.interface import DemoModel

_MISSING = {
    fill: "a joint model of a table's columns",
    generate: "a direction from labels or attributes to pictures",
    recognise: "a direction from pictures to labels or attributes",
    edit: "named attributes and pictures, and both directions between them",
    walk: "pictures from z alone",
    sample: "pictures and labels, attributes or a table's texts from z alone",
    interpolate: "pictures from z alone, and an encoder of what lies at the ends",
}
_TOGGLE = "() => { document.body.classList.toggle('dark'); }"
_TRIES = 20  # number of ports to try
_DIRECT = ("NO_PROXY", "no_proxy")
_MAX_UPLOAD = "20mb"
_MAX_WAITING = 32  # largest number of queued requests; further ones are refused as busy


def page(model: DemoModel) -> gr.Blocks:
    """Builds the page of a model, with first answers; raises `ValueError` if no tab applies to the model."""
    shown = [tab for tab in _MISSING if (model.picture or tab is fill) and tab.can(model)]
    covered = (generate, recognise) if fill in shown else (fill,)  # tabs that are not listed as missing
    shown = [tab for tab in shown if fill not in shown or tab not in covered]
    if not shown:
        raise ValueError(
            f"{model.name} has the modalities {', '.join(map(repr, model.fields))}: the page shows pictures "
            "(modalities of shape [H, W, 1] or [H, W, 3]), the directions between them and labels or attributes, and "
            "models of a table's columns."
        )
    with gr.Blocks(analytics_enabled=False, title=f"{model.name} - tf_jmvae", delete_cache=(600, 3600)) as blocks:
        with gr.Row(elem_id="top"):
            gr.HTML(_heading(model), elem_id="heading")
            switch = gr.Button("Light or dark", size="sm", scale=0, min_width=120)
            switch.click(None, js=_TOGGLE, api_visibility="private")
        with gr.Tabs():
            for tab in shown:
                with gr.Tab(tab.TITLE, id=tab.TITLE.lower()) as place:
                    tab.build(model, *([recognise.examples(model)] if tab is interpolate else []))
                # Gradio sets no alternative text for pictures of examples, which screen readers need.
                place.select(None, js=components.static("name_examples.js"), api_visibility="private")
        if notes := [f"<b>{t.TITLE}</b> needs {_MISSING[t]}." for t in _MISSING if t not in (*shown, *covered)]:
            gr.HTML(f"<p class='note'>Not shown for this model: {' '.join(notes)}</p>")
    return blocks


def _heading(model: DemoModel) -> str:
    dataset = "a table" if model.dataset == "table" else html.escape(model.dataset)
    trained = f", trained on {dataset}" if dataset else ""
    parts = []
    for name, field in model.fields.items():
        size, what = " x ".join(map(str, field.event_shape)), {"label": "labels", "values": "numbers"}
        counted = what.get(field.kind, field.kind)
        counted = counted.removesuffix("s") if size == "1" else counted
        described = f"pictures, {size}" if field.is_image else f"{size} {counted}"
        described = f"texts of up to {size} words" if field.kind == "text" else described
        described = f"one of {size} classes" if field.kind == "label" and field.columns else described
        parts.append(f"{html.escape(name)} ({described})")
    modalities = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return (
        f"<h1>{html.escape(model.name)}</h1><p>{html.escape(model.kind)} of {modalities}{trained}; z has "
        f"{model.model.latent_size} dimensions. Everything is computed on this machine, and no data leave it.</p>"
    )


@contextlib.contextmanager
def environment(host: str) -> Iterator[None]:
    """Context that sets Gradio's environment variables while it builds and serves a page.

    Uploads and generated pictures go to a folder that is deleted at the end, and Gradio's requests to its own page
    bypass proxies.
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
    """Returns `port` or the next free one; 0 takes any. Raises `ValueError` for an unusable port or host."""
    if not 0 <= port < 2**16:
        raise ValueError(f"port must be a number from 0 to 65535; got {port}.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ValueError(
            f"host {host!r} is not an address of this machine ({error}). For this machine alone: 127.0.0.1."
        ) from error
    for tried in range(port, min(port + _TRIES, 2**16)):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address[0], tried))
            except PermissionError as error:
                raise ValueError(f"Port {tried} needs privileges that you lack; choose one of 1024 or more.") from error
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise ValueError(f"host {host!r} is not an address of this machine ({error}).") from error
                continue
            return probe.getsockname()[1]
    raise ValueError(f"Ports {port} to {tried} are taken; choose another with port=, or 0 for any that is free.")


def serve(page: gr.Blocks, host: str, port: int, *, open_browser: bool) -> str:
    """Starts the server in a separate thread and returns the page's address; `page.close()` stops it."""
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
        theme=_theme(),
        css=components.static("page.css"),
        **dict.fromkeys(off, False),
    )
    return address


def is_loopback(host: str) -> bool:
    """Returns whether the host can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _theme() -> gr.themes.Base:
    """Returns Gradio's default theme with local fonts only."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # The default's grey is too faint to read.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
