"""Files that a table's cells name are found where they were in training, also beside another table."""

from pathlib import Path

from tf_jmvae.cli.of_table import folder_of_files


def test_files_are_found_where_they_were_in_training_as_seen_from_the_table(tmp_path, monkeypatch):
    old, new, bare = (tmp_path / name for name in ("old", "new", "bare"))
    for folder in (old / "images", new / "images", bare):
        folder.mkdir(parents=True)
    training = {"trained_on": old / "pets.csv", "files": old / "images"}
    assert folder_of_files(old / "pets.csv", **training).samefile(old / "images")
    assert folder_of_files(new / "more.csv", **training).samefile(new / "images")
    assert folder_of_files(bare / "more.csv", **training) == bare
    assert folder_of_files(new / "more.csv", trained_on=old / "pets.csv", files=old).samefile(new)
    assert folder_of_files(new / "more.csv", trained_on=None, files=None) == new
    monkeypatch.chdir(new)
    assert folder_of_files(Path("more.csv"), **training).samefile("images")
