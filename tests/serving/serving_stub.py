"""A server with TF Serving's two interfaces that runs real SavedModels, and what tests of clients share.

The messages, codes and number formats are those of TF Serving's sources (predict_util.cc, json_tensor.cc,
http_rest_api_handler.cc, http_server.cc). It does not batch, and loads only what it is told to.
"""

import base64
import contextlib
import http.server
import io
import json
import pathlib
import re
import socket
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from PIL import Image
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
}
FIELDS = {"float32": "float_val", "int32": "int_val", "uint8": "int_val", "string": "string_val"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def png(shape, seed=0):
    """An encoded image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def pixels(encoded):
    array = np.asarray(Image.open(io.BytesIO(encoded)))
    return array[..., None] if array.ndim == 2 else array


def inputs_of(signature, size, seed=0):
    """Arrays for a `Signature`: seeds, encoded images, numbers from 0 to 1."""
    random = np.random.default_rng(seed)
    made = {}
    for name, info in signature.inputs.items():
        if info.dtype == "string":
            made[name] = np.array([png((9, 7, 3), seed + row) for row in range(size)], object)
        elif info.dtype == "int32":
            made[name] = random.integers(0, 2**31, (size, *info.shape[1:]), np.int32)
        else:
            made[name] = random.uniform(size=(size, *info.shape[1:])).astype(np.float32)
    return made


def assert_same(found, expected, atol=1e-6, levels=0):
    """Equal outputs; images may differ by some grey levels where another server's sums are rounded otherwise."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].shape == value.shape, name
        if value.dtype == object:
            for left, right in zip(found[name], value, strict=True):
                if left == right:  # texts too
                    continue
                assert_same({name: pixels(left)}, {name: pixels(right)}, levels=levels)
        elif value.dtype == np.uint8:
            assert np.abs(found[name].astype(int) - value.astype(int)).max(initial=0) <= levels, name
        else:
            np.testing.assert_allclose(found[name], value, rtol=atol, atol=atol, err_msg=name)


class Refused(Exception):  # noqa: N818
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class ServingStub:
    """`with ServingStub({"NAME": {1: folder}}) as stub`: addresses in `stub.grpc` and `stub.rest`.

    `delay` are seconds that every prediction takes longer; `calls` counts calls by their kind, and connections of REST.
    """

    def __init__(self, models, ports=(0, 0)):
        self._ports = ports
        self.connections = set()
        self.delay = 0.0
        self.calls = {"predict": 0, "metadata": 0, "status": 0, "connection": 0}
        self._models = {}
        for name, versions in models.items():
            for version, folder in versions.items():
                self.load(name, version, folder)

    def load(self, name, version, folder, loaded=None):
        """A version's folder; what this process has loaded of it already need not be loaded again."""
        saved = saved_model_pb2.SavedModel.FromString((pathlib.Path(folder) / "saved_model.pb").read_bytes())
        definitions = dict(saved.meta_graphs[0].signature_def)
        self.add(name, version, loaded or tf.saved_model.load(str(folder)), definitions)

    def add(self, name, version, loaded=None, definitions=None):
        """A version that is loaded, or, for those who only ask for its state, seems to be."""
        self._models.setdefault(name, {})[version] = (loaded, definitions)

    def __enter__(self):
        self._grpc = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(self), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), self._grpc)
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port(f'127.0.0.1:{self._ports[0]}')}"
        self._grpc.start()
        handler = type("Rest", (_Rest,), {"stub": self})
        self._rest = http.server.ThreadingHTTPServer(("127.0.0.1", self._ports[1]), handler)
        self.rest = f"http://127.0.0.1:{self._rest.server_port}"
        self._thread = threading.Thread(target=self._rest.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._grpc.stop(None).wait()
        self._rest.shutdown()
        for connection in list(self.connections):  # HTTP/1.1 keeps them for more requests
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._rest.server_close()

    def definitions(self, spec):
        return self._servable(spec)[1]

    def predict(self, spec, inputs):
        self.calls["predict"] += 1
        time.sleep(self.delay)
        loaded, definitions = self._servable(spec)
        name = spec.signature_name or "serving_default"
        if name not in definitions:
            raise Refused("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        expected = definitions[name].inputs
        if len(inputs) != len(expected):
            raise Refused("INVALID_ARGUMENT", f"input size does not match signature: {len(inputs)}!={len(expected)}")
        for key, value in inputs.items():
            if key not in expected:
                raise Refused("INVALID_ARGUMENT", f"input tensor alias not found in signature: {key}.")
            shape = [None if dim.size < 0 else dim.size for dim in expected[key].tensor_shape.dim]
            if not tf.TensorShape(shape).is_compatible_with(value.shape):
                raise Refused("INVALID_ARGUMENT", f"input must be {shape}, but {key} has shape {list(value.shape)}")
        try:
            tensors = {key: tf.constant(value, expected[key].dtype) for key, value in inputs.items()}
            outputs = loaded.signatures[name](**tensors)
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from error
        return {key: value.numpy() for key, value in outputs.items()}

    def metadata(self, spec):
        self.calls["metadata"] += 1
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
        definitions = get_model_metadata_pb2.SignatureDefMap(signature_def=self.definitions(spec))
        response.metadata["signature_def"].Pack(definitions)
        return response

    def status(self, spec):
        self.calls["status"] += 1
        versions = self._models.get(spec.name, {})
        if spec.HasField("version"):
            versions = [version for version in versions if version == spec.version.value]
        if not versions:
            raise Refused("NOT_FOUND", f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in sorted(versions, reverse=True):
            response.model_version_status.add(version=version, state="AVAILABLE")
        return response

    def _servable(self, spec):
        versions = self._models.get(spec.name, {})
        wanted = spec.version.value if spec.HasField("version") else max(versions, default=None)
        if wanted not in versions:
            request = f"Specific({spec.name}, {wanted})" if spec.HasField("version") else f"Latest({spec.name})"
            raise Refused("NOT_FOUND", f"Servable not found for request: {request}")
        return versions[wanted]


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, stub):
        self._stub = stub

    def Predict(self, request, context):  # noqa: N802
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        outputs = _answer(context, self._stub.predict, request.model_spec, inputs)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(_as_proto_field(value))
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        assert list(request.metadata_field) == ["signature_def"]
        return _answer(context, self._stub.metadata, request.model_spec)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, stub):
        self._stub = stub

    def GetModelStatus(self, request, context):  # noqa: N802
        return _answer(context, self._stub.status, request.model_spec)


class _Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def setup(self):
        super().setup()
        self.stub.connections.add(self.connection)
        self.stub.calls["connection"] += 1

    def finish(self):
        self.stub.connections.discard(self.connection)
        super().finish()

    def do_GET(self):
        self._handle(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?", self._get)

    def do_POST(self):
        self._body = self.rfile.read(int(self.headers["Content-Length"]))
        self._handle(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:(predict)", self._predict)

    def log_message(self, *_):
        pass

    def _handle(self, pattern, method):
        try:
            match = re.fullmatch(pattern, self.path)
            if not match:
                raise Refused("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
            spec = model_pb2.ModelSpec(name=match[1])
            if match[2]:
                spec.version.value = int(match[2])
            code, text = 200, method(spec, match[3])
        except Refused as error:
            code, text = HTTP[error.code], json.dumps({"error": str(error)})
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def _get(self, spec, metadata):
        if not metadata:
            return _as_json(self.stub.status(spec))
        definitions = get_model_metadata_pb2.SignatureDefMap(signature_def=self.stub.definitions(spec))
        self.stub.calls["metadata"] += 1
        return f'{{"model_spec": {_as_json(spec)}, "metadata": {{"signature_def": {_as_json(definitions)}}}}}'

    def _predict(self, spec, _):
        request = json.loads(self._body)
        spec.signature_name = name = request.get("signature_name", "serving_default")
        definitions = self.stub.definitions(spec)
        if name not in definitions:
            raise Refused("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
        infos = definitions[name].inputs
        if rows := request.get("instances"):  # of rows; the other form is of columns
            named = isinstance(rows[0], dict) and rows[0].keys() <= infos.keys()
            tensors = {key: [row[key] for row in rows] for key in rows[0]} if named else rows
        else:
            tensors = request["inputs"]
        if not isinstance(tensors, dict):
            (only,) = infos
            tensors = {only: tensors}
        if missing := infos.keys() - tensors.keys():
            raise Refused("INVALID_ARGUMENT", f"Missing named input: {min(missing)} in 'inputs' object.")
        inputs = {key: _read(tensors[key], tf.dtypes.as_dtype(info.dtype)) for key, info in infos.items()}
        outputs = {key: _written(value, key) for key, value in self.stub.predict(spec, inputs).items()}
        if rows:
            columns = [json.loads(text) for text in outputs.values()]
            several = [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
            return json.dumps({"predictions": columns[0] if len(columns) == 1 else several})
        if len(outputs) == 1:
            (only,) = outputs.values()
            return f'{{\n    "outputs": {only}\n}}'
        return f'{{"outputs": {{{", ".join(f"{json.dumps(key)}: {value}" for key, value in outputs.items())}}}}}'


def _answer(context, method, *arguments):
    try:
        return method(*arguments)
    except Refused as error:
        context.abort(grpc.StatusCode[error.code], str(error))


def _as_proto_field(array):
    """As `Tensor::AsProtoField` writes it: numbers one by one."""
    dtype = tf.dtypes.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto())
    getattr(proto, FIELDS[dtype.name]).extend(array.ravel().tolist())
    return proto


def _as_json(message):
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _read(value, dtype):
    if dtype == tf.string:
        return np.array(
            [item.encode() if isinstance(item, str) else base64.b64decode(item["b64"]) for item in value], object
        )
    kinds = "if" if dtype.is_floating else "i"
    array = np.array(value, np.float64 if dtype.is_floating else None)
    if array.dtype.kind not in kinds:
        raise Refused("INVALID_ARGUMENT", f"JSON Value is not of expected type: {dtype.name}")
    return array.astype(dtype.as_numpy_dtype)


def _written(value, name):
    if isinstance(value, np.ndarray):
        return f"[{', '.join(_written(item, name) for item in value)}]"
    if isinstance(value, bytes):
        encoded = {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode()
        return json.dumps(encoded, ensure_ascii=False)
    if isinstance(value, np.float32):
        return _decimal(value)
    return str(int(value))


def _decimal(value):
    """`WriteDecimal`: six digits where they are enough, otherwise nine; NaN and Infinity by name."""
    if not np.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    text = f"{value:.6g}"
    if np.float32(text) != value:
        text = f"{value:.9g}"
    return text if "." in text or "e" in text else f"{text}.0"
