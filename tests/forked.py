"""Processes of their own for tests: forked from one that has imported everything and started nothing."""

import multiprocessing
import os
import pathlib
import signal
import sys

import tf_jmvae

# Forking is safe before TensorFlow's first operation, and saves each child the seconds of its import.
_PRELOADED = [
    "sklearn.datasets",
    "tf_jmvae.cli.train",
    "tf_jmvae.data.celeba",
    "tf_jmvae.data.spoken_digits",
    "tf_jmvae.training.run",
    "tf_jmvae.report.plots",
    "tf_jmvae.serving.deployment",
]
_FILE_EVENTS = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.utime", "shutil.rmtree"}
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOADED)


def start(job, *arguments, log, folder=None, kill_at=None, count_to=None, user=None):
    """Starts `job(*arguments)` in a child; returns its process.

    Args:
      job: a function of a module that runs no operation when it is imported.
      *arguments: that can be pickled.
      log: file that gets what the child prints.
      folder: whose file operations count.
      kill_at: the number of the file operation in `folder` before which the child kills itself with SIGKILL.
      count_to: file that gets how many there were.
      user: number of the user to whom it drops its privileges.
    """
    settings = (str(log), str(folder), kill_at, count_to, user, tf_jmvae.__file__)
    process = _context.Process(target=_run, args=(job, arguments, *settings))
    process.start()
    return process


def run(job, *arguments, log, **options):
    """The exit code of `job(*arguments)` in a child, negative for a signal, and what it printed."""
    process = start(job, *arguments, log=log, **options)
    process.join()
    return process.exitcode, pathlib.Path(log).read_text(errors="replace")


def _run(job, arguments, log, folder, kill_at, count_to, user, package):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    assert tf_jmvae.__file__ == package, f"The child has {tf_jmvae.__file__}, which is not what is tested: {package}."
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the parent of all children ignores
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # sums in one order: results are equal to the last bit
    tf.config.threading.set_inter_op_parallelism_threads(1)
    counter = _Counter(folder, kill_at)
    if folder != "None":
        sys.addaudithook(counter)
    code = job(*arguments)
    if count_to is not None:
        pathlib.Path(count_to).write_text(str(counter.count))
    sys.stdout.flush()
    sys.exit(code or 0)


class _Counter:
    """Counts Python's file operations in a folder, and kills the process before one of them."""

    def __init__(self, folder, kill_at):
        self.folder, self.kill_at, self.count = folder, kill_at, 0

    def __call__(self, event, arguments):
        if event in _FILE_EVENTS and str(arguments[0]).startswith(self.folder):
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
