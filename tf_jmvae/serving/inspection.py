"""Ops of a SavedModel's graph that reach outside of it, read from its file: nothing is loaded, run or imported.

Functions that only TensorFlow's own saver calls read and write checkpoints, as those of every SavedModel do; they
are left out, and what else they would do is not.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tf_jmvae._utils.keras_api import op_definition
from tf_jmvae.serving import function_graph
from tf_jmvae.serving.versions import MODEL_FILE

__all__ = ["Finding", "unsafe_ops"]

_OTHER_FORMS = ("saved_model.cpb", "saved_model.pbtxt")

_RANDOM = re.compile(
    r"Multinomial|NonDeterministicInts|ParameterizedTruncatedNormal|TruncatedNormal|Rng(ReadAnd)?Skip|"
    r"Random(Crop|Gamma|Poisson(V2)?|Shuffle|StandardNormal|Uniform(Int)?)|"
    r"Stateful(RandomBinomial|StandardNormal(V2)?|TruncatedNormal|Uniform(Full)?(Int)?)"
)

# Ops with state are refused, except for those that keep it in the process's memory and reach nothing else.
_HARMLESS_STATEFUL = re.compile(
    r"VarHandleOp|VarIsInitializedOp|VariableShape|ReadVariableOp|Assign(Add|Sub)?VariableOp|DisableCopyOnRead|"
    r"ResourceGather(Nd)?|StatefulPartitionedCall|Case|If|While|Assert|CheckNumerics(V2)?|CudnnRNN(V2|V3)?|DeviceIndex|"
    r"Empty|GuaranteeConst|StatelessRandomGetAlg|TensorArray(Close|Concat|Gather|Read|Scatter|Size|Split|Write)?V3"
)

# Ops without state that still touch files or the network, run code that is not TensorFlow's, or end the process.
_HARMFUL_STATELESS = re.compile(
    r".*(Dataset|Debug|File|Print|PyFunc|Reader|Snapshot|Summary|VocabRemapping).*|_?Xla.*|"
    r"Abort|Copy|CopyHost|CustomAggregator|DecodeProtoV2|EncodeProto|ImmutableConst"
)


class Finding(NamedTuple):
    """An op that a check found: its type, the function that it stands in (`""`: in none), and the reason."""

    op: str
    function: str
    reason: str

    def __str__(self) -> str:
        return f"{self.op} {f'in {self.function} ' if self.function else ''}({self.reason})"


def unsafe_ops(folder: str | os.PathLike) -> list[Finding]:
    """Ops that touch files or the network, run Python, or that this TensorFlow does not know.

    That is every op with state that is not known to be harmless, and those without that are known not to be. Raises
    `ValueError` if saved_model.pb is truncated or damaged, or the folder has its content in other forms, too.
    """
    found = set()
    for graph in _graphs(folder):
        by_saver = function_graph.saver_functions(graph)
        called = {function.signature.name for function in graph.graph_def.library.function}
        for node, function in function_graph.nodes(graph):
            definition = op_definition(node.op)
            if node.op in by_saver.get(function, ()):
                continue
            if definition is None:
                if node.op not in called:
                    found.add(Finding(node.op, function, "no op of this TensorFlow"))
            elif definition.is_stateful and not (_HARMLESS_STATEFUL.fullmatch(node.op) or _RANDOM.fullmatch(node.op)):
                found.add(Finding(node.op, function, "has state, and is not known to be harmless"))
            elif _HARMFUL_STATELESS.fullmatch(node.op):
                found.add(Finding(node.op, function, "reaches outside of the model"))
    return sorted(found)


def _graphs(folder: str | os.PathLike) -> list:
    """The meta graphs, of which there is at least one."""
    path = Path(folder) / MODEL_FILE
    for name in _OTHER_FORMS:
        if path.with_name(name).exists():
            raise ValueError(f"{folder} has a {name}, which TensorFlow may load in place of {MODEL_FILE}. Remove it.")
    try:
        graphs = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs
    except DecodeError as error:
        raise ValueError(f"{path} is truncated or damaged ({error}). Copy, download or export it again.") from error
    if not graphs:
        raise ValueError(f"{path} is empty or truncated: it has no graph. Copy, download or export it again.")
    return list(graphs)
