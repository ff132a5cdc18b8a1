"""What the graph of a SavedModel would do beyond what makes it unsafe: is it repeatable, and fit for a GPU?"""

import gpu_kernels
from tensorflow.python.framework import op_def_registry

from tf_jmvae.serving.inspection import (
    _RANDOM,
    Finding,
    _graphs,
    _listed_nodes,
    _node_name,
    _used_nodes,
    nodes,
    saver_functions,
)

__all__ = ["ops", "ops_without_gpu_kernel", "pinned_devices", "stateful_random_ops"]


def ops(folder):
    """The functions that each type of op stands in, `""` for the graph outside of functions; of all meta graphs."""
    found = {}
    for node, function, _ in _nodes(folder):
        found.setdefault(node.op, set()).add(function)
    return {op: sorted(found[op]) for op in sorted(found)}


def stateful_random_ops(folder):
    """Random ops whose results depend on what was drawn before, so that no seed repeats them."""
    found = (node for node in _nodes(folder) if _RANDOM.fullmatch(node[0].op))
    return sorted({Finding(node.op, function, "draws from a state") for node, function, _ in found})


def pinned_devices(folder):
    """Nodes that demand a device, for which TensorFlow would not choose the fastest at hand."""
    found = (node for node in _nodes(folder) if node[0].device and not node[2])
    return sorted({Finding(node.op, function, node.device) for node, function, _ in found})


def ops_without_gpu_kernel(folder):
    """Arithmetic that a GPU cannot do, so that tensors would travel to the host and back.

    Ops that take or give strings (among them, those that encode and decode images) belong on the host and do not
    count, nor do constants, calls and control flow. Types that are open in a function are taken to have a kernel.
    """
    gpu_kernels.require()
    found = set()
    for node, function, saver in _nodes(folder):
        definition = op_def_registry.get(node.op)
        if definition is not None and not saver and (lack := gpu_kernels.lacking(node, definition)):
            found.add(Finding(node.op, function, lack))
    return sorted(found)


def _nodes(folder):
    """Each node with its function's name, and whether it serves the saver only."""
    for graph in _graphs(folder):
        by_saver, inputs = saver_functions(graph), _saver_inputs(graph)
        for node, function in nodes(graph):
            yield node, function, function in by_saver if function else node.name in inputs


def _saver_inputs(graph):
    """Nodes outside of functions whose only use is to feed the saver."""
    saver = graph.saver_def
    ends = {_node_name(name) for name in (saver.save_tensor_name, saver.restore_op_name)} - _used_nodes(graph)
    feeding, others = set(), set(_listed_nodes(graph))
    for node in graph.graph_def.node:
        (feeding if node.name in ends else others).update(map(_node_name, node.input))
    return (feeding - others) | ends
