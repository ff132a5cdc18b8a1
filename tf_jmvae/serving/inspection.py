"""Static inspection of a SavedModel's graph for unsafe ops, without loading, running or importing anything.

Functions that only TensorFlow's saver calls may read and write checkpoints, as in every SavedModel; their other ops are
still checked.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError
from tensorflow.core.framework import attr_value_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tf_jmvae._utils.keras_api import op_definition
from tf_jmvae.serving.card import MODEL_FILE

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_SAVING = frozenset(["MergeV2Checkpoints", "SaveV2", "ShardedFilename"])
_RESTORING = frozenset(["RestoreV2"])

_RANDOM = re.compile(
    r"Multinomial|NonDeterministicInts|ParameterizedTruncatedNormal|TruncatedNormal|Rng(ReadAnd)?Skip|"
    r"Random(Crop|Gamma|Poisson(V2)?|Shuffle|StandardNormal|Uniform(Int)?)|"
    r"Stateful(RandomBinomial|StandardNormal(V2)?|TruncatedNormal|Uniform(Full)?(Int)?)"
)

# Stateful ops are refused, except for those whose state is only in the process's memory.
_HARMLESS_STATEFUL = re.compile(
    r"VarHandleOp|VarIsInitializedOp|VariableShape|ReadVariableOp|Assign(Add|Sub)?VariableOp|DisableCopyOnRead|"
    r"ResourceGather(Nd)?|StatefulPartitionedCall|Case|If|While|Assert|CheckNumerics(V2)?|CudnnRNN(V2|V3)?|DeviceIndex|"
    r"Empty|GuaranteeConst|HashTableV2|LookupTable(Find|Import|Size)V2|StatelessRandomGetAlg|TensorArray(Close|Concat|Gather|Read|Scatter|Size|Split|Write)?V3"
)

# Stateless ops that access files or the network, run code that is not TensorFlow's, or end the process.
_HARMFUL_STATELESS = re.compile(
    r".*(Dataset|Debug|File|Print|PyFunc|Reader|Snapshot|Summary|VocabRemapping).*|_?Xla.*|"
    r"Abort|Copy|CopyHost|CustomAggregator|DecodeProtoV2|EncodeProto|ImmutableConst"
)


class Finding(NamedTuple):
    """Unsafe op: its type, the function that contains it (`""` for none), and the reason."""

    op: str
    function: str
    reason: str

    def __str__(self) -> str:
        return f"{self.op} {f'in {self.function} ' if self.function else ''}({self.reason})"


def unsafe_ops(folder: str | os.PathLike) -> list[Finding]:
    """Returns ops that access files or the network, run Python, or are unknown to this TensorFlow.

    These are all stateful ops that are not known to be harmless, and stateless ops that are known to be harmful. Raises
    `ValueError` if saved_model.pb is truncated or damaged, or the folder also has its content in another format.
    """
    found = set()
    for graph in _graphs(folder):
        by_saver = saver_functions(graph)
        called = {function.signature.name for function in graph.graph_def.library.function}
        for node, function in nodes(graph):
            definition = op_definition(node.op)
            if node.op in by_saver.get(function, ()):
                continue
            if definition is None:
                if node.op not in called:
                    found.add(Finding(node.op, function, "not an op of this TensorFlow"))
            elif definition.is_stateful and not (_HARMLESS_STATEFUL.fullmatch(node.op) or _RANDOM.fullmatch(node.op)):
                found.add(Finding(node.op, function, "has state, and is not known to be harmless"))
            elif _HARMFUL_STATELESS.fullmatch(node.op):
                found.add(Finding(node.op, function, "reaches outside of the model"))
    return sorted(found)


def nodes(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[node_def_pb2.NodeDef, str]]:
    """Yields every node with the name of its function; `""` for nodes outside functions."""
    for node in graph.graph_def.node:
        yield node, ""
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            yield node, function.signature.name


def saver_functions(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, frozenset[str]]:
    """Returns the functions that only the saver's two nodes reach, each with the ops that it may contain.

    Saving may write a checkpoint and restoring may read one. Functions that a signature, an object of the model,
    another node or another function reaches are not included.
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
    others = others.union(*(_named_in(node, calls) for node in graph.graph_def.node if node.name not in roots))
    others = others.union(*((of.function_name, of.gradient_func) for of in graph.graph_def.library.gradient))
    candidates -= _reached(others, calls)
    return {name: _SAVING if name in saving else _RESTORING for name in candidates}


def _graphs(folder: str | os.PathLike) -> list:
    """Reads the meta graphs, at least one."""
    path = Path(folder) / MODEL_FILE
    for name in ("saved_model.cpb", "saved_model.pbtxt"):
        if path.with_name(name).exists():
            raise ValueError(f"{folder} has a {name}, which TensorFlow may load instead of {MODEL_FILE}. Remove it.")
    try:
        graphs = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs
    except DecodeError as error:
        raise ValueError(f"{path} is truncated or damaged ({error}). Copy, download or export it again.") from error
    if not graphs:
        raise ValueError(f"{path} is empty or truncated: it has no graph. Copy, download or export it again.")
    return list(graphs)


def _references(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, set[str]]:
    """Returns the functions that each function references in its nodes or attributes."""
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    return {
        name: _names_of(function.attr, library).union(*(_named_in(node, library) for node in function.node_def))
        for name, function in library.items()
    }


def _named_in(node: node_def_pb2.NodeDef, functions: Iterable[str]) -> set[str]:
    return _names_of(node.attr, functions) | ({node.op} if node.op in functions else set())


def _names_of(attributes: Mapping[str, attr_value_pb2.AttrValue], functions: Iterable[str]) -> set[str]:
    """Returns the functions that attributes reference: directly, in lists, in nested attributes, or as strings."""
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
    """Returns the nodes that other nodes, signatures or collections use."""
    return {_node_name(tensor) for node in graph.graph_def.node for tensor in node.input}.union(_listed_nodes(graph))


def _listed_nodes(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Yields the nodes that signatures or collections use."""
    for signature in graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield _node_name(tensor.name)
    for collection in graph.collection_def.values():
        yield from map(_node_name, collection.node_list.value)


def _node_name(tensor: str) -> str:
    """Returns `"node"` for `"node:0"`, `"^node"` or `"node"`."""
    return tensor.removeprefix("^").split(":")[0]
