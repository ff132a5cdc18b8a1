"""Call graph of a SavedModel's functions, and the functions of TensorFlow's saver alone."""

from collections.abc import Iterable, Iterator, Mapping

from tensorflow.core.framework import attr_value_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

__all__ = ["nodes", "saver_functions"]

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_SAVING = frozenset(["MergeV2Checkpoints", "SaveV2", "ShardedFilename"])
_RESTORING = frozenset(["RestoreV2"])


def nodes(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[node_def_pb2.NodeDef, str]]:
    """Every node with the name of its function; `""` for those in none."""
    for node in graph.graph_def.node:
        yield node, ""
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            yield node, function.signature.name


def saver_functions(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, frozenset[str]]:
    """The functions that the saver's two nodes reach and nothing else does, with the ops that are theirs by right.

    That is, saving may write a checkpoint and restoring may read one. A function that a signature, an object of
    the model, any other node or any other function reaches is none of them.
    """
    calls = _references(graph)
    saver = graph.saver_def
    save, restore = (_node_name(name) for name in (saver.save_tensor_name, saver.restore_op_name))
    in_use = _used_nodes(graph)
    roots = {
        node.name: _named_in(node, calls)
        for node in graph.graph_def.node
        if node.name in (save, restore) and node.op in _CALLS and node.name not in in_use
    }
    saving, restoring = (_reached(roots.get(name, ()), calls) for name in (save, restore))
    candidates = saving ^ restoring
    others = {*graph.object_graph_def.concrete_functions, *(calls.keys() - candidates)}
    for node in graph.graph_def.node:
        if node.name not in roots:
            others |= _named_in(node, calls)
    for gradient in graph.graph_def.library.gradient:
        others |= {gradient.function_name, gradient.gradient_func}
    candidates -= _reached(others, calls)
    return {name: _SAVING if name in saving else _RESTORING for name in candidates}


def _references(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, set[str]]:
    """The functions that each function names anywhere in its nodes or attributes."""
    library = graph.graph_def.library.function
    calls = {function.signature.name: set() for function in library}
    for function in library:
        named = calls[function.signature.name]
        for node in function.node_def:
            named |= _named_in(node, calls)
        named |= _names_of(function.attr, calls)
    return calls


def _named_in(node: node_def_pb2.NodeDef, functions: Iterable[str]) -> set[str]:
    return _names_of(node.attr, functions) | ({node.op} if node.op in functions else set())


def _names_of(attributes: Mapping[str, attr_value_pb2.AttrValue], functions: Iterable[str]) -> set[str]:
    """Functions that attributes name: as a function, in a list, in a function's own attributes, or as a string."""
    found, waiting = set(), list(attributes.values())
    while waiting:
        value = waiting.pop()
        for named in (value.func, *value.list.func):
            found.add(named.name)
            waiting += named.attr.values()
        found |= {text.decode("utf-8", "replace") for text in (value.s, *value.list.s)}
    return {name for name in found if name in functions}


def _reached(names: Iterable[str], calls: Mapping[str, set[str]]) -> set[str]:
    reached, waiting = set(), [name for name in names if name in calls]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += calls[name]
    return reached


def _used_nodes(graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Nodes that other nodes, signatures or collections use."""
    return {_node_name(tensor) for node in graph.graph_def.node for tensor in node.input}.union(_listed_nodes(graph))


def _listed_nodes(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Nodes that signatures or collections use."""
    for signature in graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield _node_name(tensor.name)
    for collection in graph.collection_def.values():
        yield from map(_node_name, collection.node_list.value)


def _node_name(tensor: str) -> str:
    """`"node"` of `"node:0"`, `"^node"` or `"node"`."""
    return tensor.removeprefix("^").split(":")[0]
