"""Results say which versions and which commit made them."""

import subprocess

from tf_jmvae._utils import provenance


def test_the_environment_says_whether_the_working_tree_differs_from_its_commit(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "tf_jmvae" / "_utils" / "provenance.py"))
    found = provenance.environment()
    assert (found["commit"], found["dirty"]) == (None, None)
    git("init")
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/one.json").write_text("1")
    git("add", "code.py", "results")
    git("commit", "-m", "first")
    (tmp_path / "notes.txt").write_text("not of the project")
    found = provenance.environment()
    assert (found["commit"], found["dirty"]) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "results/one.json").write_text("2")
    assert provenance.environment()["dirty"] is True
    assert provenance.environment("results")["dirty"] is False
    (tmp_path / "code.py").write_text("2")
    assert provenance.environment("results")["dirty"] is True
