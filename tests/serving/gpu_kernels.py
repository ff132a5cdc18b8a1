"""Which nodes a GPU has no kernel for, as this TensorFlow registers kernels; no GPU is needed to know."""

import re
from functools import cache

import tensorflow as tf
from tensorflow.core.framework import kernel_def_pb2, node_def_pb2, op_def_pb2, types_pb2
from tensorflow.python.framework import kernels

__all__ = ["lacking", "require"]

# These compute nothing: they name, check, call or gather something.
_NOT_ARITHMETIC = re.compile(
    r"Assert|Const|Identity(N)?|NoOp|Placeholder|ReadVariableOp|VarHandleOp|(Stateful)?PartitionedCall|"
    r"(Stateless)?(Case|If|While)|TensorList.*"
)
_DEVICES = ("GPU", "DEFAULT")  # kernels of the device DEFAULT run on any
_STRINGS = (types_pb2.DT_STRING, types_pb2.DT_STRING_REF)


def require() -> None:
    """Raises `RuntimeError` if this TensorFlow has no GPU kernels to look up."""
    if not tf.test.is_built_with_cuda():
        raise RuntimeError("This TensorFlow is built without CUDA, and knows no GPU kernels. Install another build.")


def lacking(node: node_def_pb2.NodeDef, definition: op_def_pb2.OpDef) -> str:
    """What kernel is missing; `""` if there is one, or if the node belongs on the host.

    On the host belong ops that take or give strings, among them those that encode and decode images. A type
    that is open, as in a function for several types, is taken to have a kernel.
    """
    types = _types(node, definition)
    if _NOT_ARITHMETIC.fullmatch(node.op) or _has_strings(definition, types):
        return ""
    if any(_accepts(kernel, types) for kernel in _kernels(node.op)):
        return ""
    named = ", ".join(f"{name}={'/'.join(tf.dtypes.as_dtype(kind).name for kind in types[name])}" for name in types)
    return f"no GPU kernel for {named}" if named else "no GPU kernel"


@cache
def _kernels(op: str) -> list[kernel_def_pb2.KernelDef]:
    return [kernel for kernel in kernels.get_registered_kernels_for_op(op).kernel if kernel.device_type in _DEVICES]


def _types(node: node_def_pb2.NodeDef, definition: op_def_pb2.OpDef) -> dict[str, list[int]]:
    """The node's types by attribute, with the op's defaults; without those that are open."""
    types = {}
    for attribute in definition.attr:
        value = node.attr.get(attribute.name, attribute.default_value)
        if attribute.type == "type" and value.type:
            types[attribute.name] = [value.type]
        elif attribute.type == "list(type)" and value.list.type:
            types[attribute.name] = list(value.list.type)
    return types


def _has_strings(definition: op_def_pb2.OpDef, types: dict[str, list[int]]) -> bool:
    fixed = [argument.type for argument in (*definition.input_arg, *definition.output_arg)]
    return any(kind in _STRINGS for kind in fixed + [kind for kinds in types.values() for kind in kinds])


def _accepts(kernel: kernel_def_pb2.KernelDef, types: dict[str, list[int]]) -> bool:
    return all(
        set(types.get(constraint.name, ())) <= set(constraint.allowed_values.list.type)
        for constraint in kernel.constraint
    )
