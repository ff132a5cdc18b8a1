"""`Client`, an `InferenceModel` behind TF Serving, and its errors."""

import functools
import json
import math
import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import Message

from tf_jmvae._utils.extras import extra
from tf_jmvae.serving import calls
from tf_jmvae.serving.calls import CallError
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.serving.request import Signature, rows_of, signatures_of
from tf_jmvae.specs import ModelSpec

if TYPE_CHECKING:
    import grpc

_PORTS = {"grpc": 8500, "rest": 8501}
_UNKNOWN_SIGNATURE = re.compile(r"serving signature .*not found", re.IGNORECASE | re.DOTALL)


class ServingError(OSError):
    """Base error of requests that the server refused or did not answer."""


class UnavailableError(ServingError):
    """Error of a server that cannot be reached or is overloaded."""


class DeadlineError(ServingError):
    """Error of an answer that did not arrive within the timeout."""


class UnknownModelError(ServingError):
    """Error of a model, or version of a model, that the server does not have."""


class UnknownSignatureError(ServingError):
    """Error of a signature that the model on the server does not have, or no longer has."""


def _with_fresh_signatures(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a method to retry once with the server's signatures if its cached ones were outdated."""

    @functools.wraps(method)
    def call(client: "Client", *args: Any, **options: Any) -> Any:
        try:
            return method(client, *args, **options)
        except (TypeError, ValueError):
            if not client._signatures_changed():
                raise
        return method(client, *args, **options)

    return call


class Client(InferenceModel):
    """Client of an exported model behind TF Serving, with the methods of `InferenceModel`.

    The client may be shared by threads. Nothing is sent before the first call. Signatures are requested once, and again
    if a call does not fit them or the server refuses it, because another version may have been loaded.

    Args:
      address: host and port, `"localhost:8500"` for gRPC, `"localhost:8501"` for REST. A host name or IP address
        without a port gets TF Serving's default port. A prefix `http://` or `https://` selects REST, with default port
        80 or 443, as in any URL.
      model: name of the model on the server, as in `models.config`.
      version: version number; None, the default, for the server's default, usually the newest.
      protocol: `"grpc"`, the default, or `"rest"`.
      timeout: seconds to wait for each call, a finite positive number; by default 10. Within this time a call is
        retried if the server was overloaded, or failed because of another caller's request in the same batch.
      credentials: gRPC credentials for TLS, such as `grpc.ssl_channel_credentials()`; None, the default, for no TLS.
        REST uses TLS with `https://`.

    Raises:
      ImportError: if grpc, requests or tensorflow_serving is missing, which come with the extra `serving`.
      ValueError: if an argument is missing or invalid.

    Examples:
      >>> with Client("localhost:8500", model="mnist") as model:
      ...     images = model.generate({"w": labels}, targets=["x"], images="png")["x"]

    For inputs without rows, outputs have no rows and nothing is sent. All methods raise `ValueError`, before anything
    is sent, if a name or shape is wrong or the client is closed, and otherwise `UnavailableError`, `DeadlineError`,
    `UnknownModelError`, `UnknownSignatureError` or their base class `ServingError`.
    """

    def __init__(
        self,
        address: str,
        *,
        model: str | None = None,
        version: int | None = None,
        protocol: str = "grpc",
        timeout: float = 10.0,
        credentials: "grpc.ChannelCredentials | None" = None,
    ):
        if not model:
            raise ValueError(
                "Which model? A server may have several: give its name there, the NAME of the exported folder and of "
                f"models.config, as in Client({address!r}, model='NAME')."
            )
        if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 0):
            raise ValueError(f"version must be a number, such as 1, or None for the newest; got {version!r}.")
        if isinstance(timeout, bool) or not isinstance(timeout, numbers.Real) or not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be a finite number of seconds greater than 0; got {timeout!r}.")
        protocol, self.address = _resolved(address, protocol)
        self.model, self.version, self.timeout = model, version, timeout
        if protocol == "rest" and credentials is not None:
            raise ValueError("credentials are for gRPC; REST uses TLS with an address that starts with https://.")
        with extra("serving", "Client"):
            from tf_jmvae.serving.transports import GrpcTransport, RestTransport
        arguments = (self.address, model, version)
        self._transport = RestTransport(*arguments) if protocol == "rest" else GrpcTransport(*arguments, credentials)
        self._signatures: dict[str, Signature] | None = None
        self._spec: ModelSpec | None = None
        self._closed = False

    @property
    def spec(self) -> ModelSpec:
        """`ModelSpec` of the model, requested once; `ValueError` if it was exported by version 0.1.0."""
        spec = self._spec
        if spec is None:
            if "describe" not in self.signatures:
                raise ValueError(
                    f"{self.model!r} at {self.address} cannot say what it is, as it was exported by version 0.1.0. "
                    "Export it anew, or ask for what needs no description: images as values or as bytes."
                )
            found = self._call("describe", {"rows": np.zeros(1, np.int32)})["description"][0]
            self._spec = spec = replace(ModelSpec.from_json(json.loads(found)), name=self.model)
        return spec

    @property
    def signatures(self) -> Mapping[str, Signature]:
        signatures = self._signatures  # read once, because another thread may reset them
        if signatures is None:
            self._signatures = signatures = self._signatures_there()
        return signatures

    def status(self) -> dict[int, str]:
        """Returns states by version: START, LOADING, AVAILABLE, UNLOADING or END, with the error if one failed."""
        return _states(self._ask(self._transport.status, self.version))

    def close(self) -> None:
        """Closes the connection; the client cannot be used afterwards."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        version = "" if self.version is None else f", version {self.version}"
        return f"<Client of {self.model!r}{version} at {self.address}>"

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self!r} is closed: make another Client, or make the call within its `with` block.")

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._require_open()
        known = self._signature(signature)
        if not rows_of(inputs):  # a server that batches requests never answers empty ones
            return {name: info.no_rows() for name, info in known.outputs.items()}
        try:
            return calls.answer(
                lambda seconds: self._transport.predict(signature, known, inputs, seconds),
                self.timeout,
                lambda error: calls.is_busy(error) or calls.is_spoiled(error, inputs),
            )
        except CallError as error:
            if error.code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION"):
                self._signatures = None  # may belong to another version
            if _UNKNOWN_SIGNATURE.search(error.details):
                raise UnknownSignatureError(
                    f"{self.model!r} at {self.address} no longer has signature {signature!r}, so another version was "
                    f"loaded. It has {', '.join(self.signatures)}."
                ) from error
            if calls.is_spoiled(error, inputs):
                raise ServingError(
                    f"TF Serving at {self.address} joined the request with others that do not fit, or hold files that "
                    f"are not images, and did so again until {self.timeout:g} seconds had passed ({error.details})."
                ) from error
            raise self._explained(error) from error

    _find = _with_fresh_signatures(InferenceModel._find)
    _targets_from = _with_fresh_signatures(InferenceModel._targets_from)
    _in_format = _with_fresh_signatures(InferenceModel._in_format)
    _call = _with_fresh_signatures(InferenceModel._call)

    def _signatures_changed(self) -> bool:
        """Requests the signatures again, and returns whether they changed."""
        try:
            before, self._signatures, self._spec = self._signatures, self._signatures_there(), None
        except ServingError:  # the original error is more informative
            return False
        return self._signatures != before

    def _signatures_there(self) -> dict[str, Signature]:
        return signatures_of(self._ask(self._transport.metadata).signature_def)

    def _ask(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the answer to a call of the transport; raises if it fails or the client is closed."""
        self._require_open()
        try:
            return calls.answer(lambda seconds: method(*arguments, seconds), self.timeout, calls.is_busy)
        except CallError as error:
            raise self._explained(error) from error

    def _explained(self, error: CallError) -> ServingError:
        """Converts an error of a call to one with advice for the user."""
        where = f"TF Serving at {self.address}"
        if error.code == calls.FOREIGN:
            return ServingError(
                f"{self.address} answered, but is not TF Serving: {error.details}. Is this its address, and its port "
                "(8500 for gRPC, 8501 for REST)?"
            )
        if calls.is_busy(error):
            return UnavailableError(
                f"{where} had too many requests waiting for {self.timeout:g} seconds ({error.details}). Send fewer at "
                "once, try again later, or raise max_enqueued_batches in its batching parameters or its "
                "--grpc_max_threads."
            )
        if error.code == "UNAVAILABLE":
            return UnavailableError(
                f"{where} does not answer ({error.details}). Is it running, and is this its port (8500 for gRPC, 8501 "
                "for REST)? To start one, write_deployment_files() beside the exported models, then "
                "`docker compose --profile cpu up` there."
            )
        if error.code == "DEADLINE_EXCEEDED":
            return DeadlineError(
                f"{where} did not answer within {self.timeout:g} seconds. Send fewer examples at once, or give the "
                "Client a longer timeout."
            )
        if error.code == "NOT_FOUND":
            return UnknownModelError(f"{where} has no {self._what_is_missing()} ({error.details}).")
        return ServingError(f"{where} refused the request for {self.model!r}: {error.code}, {error.details}")

    def _what_is_missing(self) -> str:
        model = f"model {self.model!r} ready; its models are listed in the server's models.config"
        if self.version is None:
            return model
        try:
            states = _states(self._transport.status(None, self.timeout))
        except CallError:
            return model
        others = ", ".join(f"{version} ({state})" for version, state in states.items())
        return f"version {self.version} of model {self.model!r} ready, but {others}"


def _resolved(address: str, protocol: str) -> tuple[str, str]:
    """Returns the protocol, and the address with the default port if it has none."""
    if protocol not in _PORTS:
        raise ValueError(f"protocol must be 'grpc' or 'rest'; got {protocol!r}.")
    if not isinstance(address, str) or not address:
        raise ValueError(f"Expected an address such as 'localhost:8500'; got {address!r}.")
    if url := re.match(r"https?://", address, re.IGNORECASE):
        return "rest", url[0].lower() + address[url.end() :].rstrip("/")
    if re.fullmatch(r"[^\[\]:]*(:[^\[\]:]*){2,}", address):  # an IPv6 address
        address = f"[{address}]"
    if re.fullmatch(r"[\w.-]+|\[[^\]]+\]", address):
        address = f"{address}:{_PORTS[protocol]}"
    return protocol, f"http://{address}" if protocol == "rest" else address


def _states(found: Message) -> dict[int, str]:
    return {
        entry.version: type(entry).State.Name(entry.state)
        + (f": {entry.status.error_message}" if entry.status.error_message else "")
        for entry in sorted(found.model_version_status, key=lambda entry: entry.version)
    }
