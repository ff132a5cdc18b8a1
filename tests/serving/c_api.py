"""Runs signatures of a SavedModel through TensorFlow's C API, as TF Serving does, without TensorFlow's Python.

    python c_api.py LIBRARIES CALLS OUTPUT

LIBRARIES is the folder with libtensorflow_cc.so.2. CALLS is a pickle of `(folder, config, calls)`: config a serialised
ConfigProto, each call a pair of dicts: arrays by the names of graph tensors to feed, and the names of graph tensors to
fetch, by name. OUTPUT gets a pickle of the list of results.
"""

import ctypes
import pathlib
import pickle
import sys

import numpy as np

_STRING = 7  # TF_DataType
_DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, _STRING: object}
_NUMBERS = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}
_TSTRING = 24  # bytes


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def main(libraries, calls, output):
    library = _Library(pathlib.Path(libraries))
    folder, config, wanted = pickle.loads(pathlib.Path(calls).read_bytes())
    graph, session = library.load(folder, config)
    results = [library.run(graph, session, feeds, fetches) for feeds, fetches in wanted]
    assert not any(name.startswith(("tensorflow", "keras", "tf_jmvae")) for name in sys.modules)
    pathlib.Path(output).write_bytes(pickle.dumps(results))


class _Library:
    def __init__(self, folder):
        ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL)
        self._c = c = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"), ctypes.RTLD_GLOBAL)
        for name in (
            "TF_NewStatus",
            "TF_NewGraph",
            "TF_NewSessionOptions",
            "TF_LoadSessionFromSavedModel",
            "TF_GraphOperationByName",
            "TF_AllocateTensor",
            "TF_TensorData",
        ):
            getattr(c, name).restype = ctypes.c_void_p
        c.TF_TensorByteSize.restype = ctypes.c_size_t
        c.TF_Dim.restype = ctypes.c_int64
        c.TF_Message.restype = ctypes.c_char_p
        self._status = ctypes.c_void_p(c.TF_NewStatus())

    def load(self, folder, config):
        graph = ctypes.c_void_p(self._c.TF_NewGraph())
        options = ctypes.c_void_p(self._c.TF_NewSessionOptions())
        self._c.TF_SetConfig(options, config, ctypes.c_size_t(len(config)), self._status)
        self._check()
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self._c.TF_LoadSessionFromSavedModel(
            options, None, str(folder).encode(), tags, 1, graph, None, self._status
        )
        self._check()
        return graph, ctypes.c_void_p(session)

    def run(self, graph, session, feeds, fetches):
        inputs = (_Output * len(feeds))(*[self._output(graph, name) for name in feeds])
        values = (ctypes.c_void_p * len(feeds))(*[self._tensor(value) for value in feeds.values()])
        outputs = (_Output * len(fetches))(*[self._output(graph, name) for name in fetches.values()])
        results = (ctypes.c_void_p * len(fetches))()
        self._c.TF_SessionRun(
            session, None, inputs, values, len(feeds), outputs, results, len(fetches), None, 0, None, self._status
        )
        self._check()
        return {name: self._array(ctypes.c_void_p(value)) for name, value in zip(fetches, results, strict=True)}

    def _output(self, graph, name):
        operation, _, index = name.partition(":")
        pointer = self._c.TF_GraphOperationByName(graph, operation.encode())
        assert pointer, f"no operation {operation}"
        return _Output(pointer, int(index))

    def _tensor(self, value):
        value = np.ascontiguousarray(value)
        number = _NUMBERS[value.dtype]
        dims = (ctypes.c_int64 * value.ndim)(*value.shape)
        size = value.size * _TSTRING if number == _STRING else value.nbytes
        tensor = self._c.TF_AllocateTensor(number, dims, value.ndim, ctypes.c_size_t(size))
        data = self._c.TF_TensorData(ctypes.c_void_p(tensor))
        if number == _STRING:
            for index, item in enumerate(value.ravel()):
                _write_string(data + index * _TSTRING, item)
        else:
            ctypes.memmove(data, value.ctypes.data, value.nbytes)
        return tensor

    def _array(self, tensor):
        number = self._c.TF_TensorType(tensor)
        shape = [self._c.TF_Dim(tensor, axis) for axis in range(self._c.TF_NumDims(tensor))]
        data = self._c.TF_TensorData(tensor)
        if number != _STRING:
            return np.frombuffer(ctypes.string_at(data, self._c.TF_TensorByteSize(tensor)), _DTYPES[number]).reshape(
                shape
            )
        items = [_read_string(data + index * _TSTRING) for index in range(int(np.prod(shape)))]
        return np.array(items, object).reshape(shape)

    def _check(self):
        if self._c.TF_GetCode(self._status):
            raise RuntimeError(self._c.TF_Message(self._status).decode())


# A TF_TString, 24 bytes: the lowest two bits say whether the text stands in it, on the heap, behind it, or elsewhere.
_SMALL, _LARGE, _OFFSET, _VIEW = range(4)
_kept = []  # buffers that views point to


def _write_string(place, item):
    buffer = ctypes.create_string_buffer(item, len(item))
    _kept.append(buffer)
    words = (ctypes.c_uint64 * 3).from_address(place)
    words[0], words[1], words[2] = len(item) << 2 | _VIEW, ctypes.addressof(buffer), 0


def _read_string(place):
    words = (ctypes.c_uint64 * 3).from_address(place)
    kind = words[0] & 3
    if kind == _SMALL:
        return ctypes.string_at(place + 1, (words[0] & 0xFF) >> 2)
    if kind == _OFFSET:
        size, offset = (ctypes.c_uint32 * 2).from_address(place)
        return ctypes.string_at(place + offset, size >> 2)
    return ctypes.string_at(words[1 if kind == _VIEW else 2], words[0] >> 2)


if __name__ == "__main__":
    main(*sys.argv[1:])
