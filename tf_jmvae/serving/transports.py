"""gRPC and REST transports between the client and TF Serving, of NumPy arrays and TF Serving's messages.

A transport belongs to one model on a server: `predict` returns a signature's outputs, `metadata` the model's
signatures, `status` the state of one version or all, and `close` closes the connection. Calls raise `CallError`, at the
latest after `timeout` seconds.
"""

import base64
import contextlib
import json
import re
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import numpy as np
import requests
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tf_jmvae._utils import names
from tf_jmvae.serving.calls import FOREIGN, CallError
from tf_jmvae.serving.request import Signature

SIGNATURE_DEF = "signature_def"

# Codes of TF Serving's http_server.cc, where FAILED_PRECONDITION and OUT_OF_RANGE are 400 too.
_CODES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_LONGEST_WAIT_MS = 2000  # before reconnecting; gRPC's default is two minutes
_CHUNK = 1 << 20


class GrpcTransport:
    """gRPC transport: binary tensors over HTTP/2, faster than REST."""

    def __init__(self, address: str, model: str, version: int | None, credentials: Any):
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", _LONGEST_WAIT_MS),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model_service = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._model, self._version = model, version

    def predict(
        self, name: str, signature: Signature, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest(model_spec=self._spec(self._version, name))
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value, signature.inputs[key].dtype))
        response = self._call(self._prediction.Predict, request, timeout)
        with _understood(f"outputs {', '.join(response.outputs)}"):
            return {key: tf.make_ndarray(value) for key, value in response.outputs.items()}

    def metadata(self, timeout: float) -> get_model_metadata_pb2.SignatureDefMap:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec(self._version), metadata_field=[SIGNATURE_DEF]
        )
        found = get_model_metadata_pb2.SignatureDefMap()
        answer = self._call(self._prediction.GetModelMetadata, request, timeout)
        if not answer.metadata[SIGNATURE_DEF].Unpack(found):
            raise CallError(FOREIGN, "metadata without signatures")
        return found

    def status(self, version: int | None, timeout: float) -> get_model_status_pb2.GetModelStatusResponse:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec(version))
        return self._call(self._model_service.GetModelStatus, request, timeout)

    def close(self) -> None:
        self._channel.close()

    def _spec(self, version: int | None, signature: str = "") -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self._model, signature_name=signature)
        if version is not None:
            spec.version.value = version
        return spec

    def _call(self, method: grpc.UnaryUnaryMultiCallable, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise CallError(error.code().name, error.details() or "") from error


class RestTransport:
    """REST transport: JSON over HTTP, which passes through proxies without gRPC.

    Each http call uses a new connection. TF Serving writes an answer in parts with Nagle's algorithm on, so that a
    later part waits until the client acknowledges the previous one, which Linux delays by 40 ms on a connection in use.
    On a new connection it acknowledges at once, which costs a fraction of a millisecond. https connections end in a
    proxy, and are kept because their handshake costs more.
    """

    def __init__(self, address: str, model: str, version: int | None):
        self._url = f"{address}/v1/models/{urllib.parse.quote(model, safe='')}"
        self._version = version
        self._kept = requests.Session() if address.startswith("https://") else None

    def predict(
        self, name: str, signature: Signature, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        # TF Serving reads and writes NaN and Infinity as Python's json does.
        columns = {key: value.tolist() for key, value in inputs.items()}  # decimals that round-trip float32
        for key in (key for key, value in inputs.items() if value.dtype.kind in "OS"):
            columns[key] = [{"b64": base64.b64encode(item).decode()} for item in columns[key]]
        body = json.dumps({"signature_name": name, "inputs": columns}, separators=(",", ":")).encode()
        answer = self._call("POST", f"{self._of(self._version)}:predict", timeout, body)
        with _understood(answer):
            outputs = answer["outputs"]
            if len(signature.outputs) == 1:  # TF Serving then omits the name
                outputs = dict.fromkeys(signature.outputs, outputs)
            return {key: _from_json(outputs[key], info.dtype, key) for key, info in signature.outputs.items()}

    def metadata(self, timeout: float) -> get_model_metadata_pb2.SignatureDefMap:
        answer = self._call("GET", f"{self._of(self._version)}/metadata", timeout)
        with _understood(answer):
            found = answer["metadata"][SIGNATURE_DEF]
            return _parsed(found, SIGNATURE_DEF, get_model_metadata_pb2.SignatureDefMap())

    def status(self, version: int | None, timeout: float) -> get_model_status_pb2.GetModelStatusResponse:
        answer = self._call("GET", self._of(version), timeout)
        with _understood(answer):
            return _parsed(answer, "model_version_status", get_model_status_pb2.GetModelStatusResponse())

    def close(self) -> None:
        if self._kept:
            self._kept.close()

    def _of(self, version: int | None) -> str:
        return "" if version is None else f"/versions/{version}"

    def _call(self, method: str, path: str, timeout: float, body: bytes | None = None) -> dict[str, Any]:
        end = time.monotonic() + timeout
        headers = {"Content-Type": "application/json"} | ({} if self._kept else {"Connection": "close"})
        arguments = {"data": body, "headers": headers, "timeout": timeout, "stream": True}
        connection = contextlib.nullcontext(self._kept) if self._kept else requests.Session()
        try:
            with connection as session, session.request(method, self._url + path, **arguments) as response:
                content = bytearray()
                for chunk in response.iter_content(_CHUNK):
                    content += chunk
                    if time.monotonic() > end:  # the timeout of requests restarts with every packet
                        raise requests.ReadTimeout("the answer took too long")
        except requests.RequestException as error:
            late = isinstance(error, requests.ReadTimeout) or "Read timed out" in str(
                error
            )  # in the middle of an answer
            raise CallError("DEADLINE_EXCEEDED" if late else "UNAVAILABLE", str(error)) from error
        return _answer(response, bytes(content))


def _answer(response: requests.Response, content: bytes) -> dict[str, Any]:
    status = response.status_code
    foreign = CallError(FOREIGN, f"HTTP {status} and {_start(content)!r}")
    try:
        answer = json.loads(content)
    except ValueError as error:
        if status in (429, 503, 504):  # a proxy answers in its own format
            raise CallError(_CODES[status], f"HTTP {status} {response.reason}") from error
        raise foreign from error
    if response.ok and not isinstance(answer, dict):
        raise foreign
    if response.ok:
        return answer
    text = content.decode(errors="replace")
    text = str(answer.get("error", text) if isinstance(answer, dict) else text)
    raise CallError(_CODES.get(status, "UNKNOWN"), f"HTTP 503: {text}" if status == 503 else text)


def _start(content: bytes) -> str:
    return re.sub(r"\s+", " ", content[:80].decode(errors="replace"))


@contextlib.contextmanager
def _understood(answer: Any) -> Iterator[None]:
    """Context for parsing an answer; an answer that cannot be parsed is not TF Serving's."""
    try:
        yield
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, json_format.ParseError) as error:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        problem = f"{type(error).__name__}: {error}"
        raise CallError(FOREIGN, f"{_start(text.encode())!r}, which cannot be read ({problem[:200]})") from error


def _parsed(found: Any, required: str, message: Any) -> Any:
    """Parses a message from JSON, which must have the required field."""
    if not isinstance(found, dict) or not found.get(required):
        raise ValueError(f"no {required}")
    return json_format.ParseDict(found, message, ignore_unknown_fields=True)


def _from_json(value: Any, dtype: str, name: str) -> np.ndarray:
    if dtype == "string":
        if not isinstance(value, list):
            raise TypeError(f"a list was expected, not {type(value).__name__}")
        if name.endswith(names.BYTES):  # TF Serving encodes these in base64, other strings as text
            return np.array([base64.b64decode(item["b64"], validate=True) for item in value], object)
        return np.array([item.encode() for item in value], object)
    array = np.array(value)  # without dtype, which would convert null to NaN
    if array.dtype.kind not in "biuf":
        raise TypeError("numbers were expected")
    return array.astype(dtype)
