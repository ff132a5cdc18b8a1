"""What is not there skips a test, or fails it where it is required."""

import pytest
import requirements


@pytest.mark.parametrize(("value", "outcome"), [("", "Skipped"), ("celeba", "Skipped"), ("celeba, mnist", "Failed")])
def test_an_absence_skips_or_fails(monkeypatch, value, outcome):
    monkeypatch.setenv("TF_JMVAE_REQUIRE", value)
    with pytest.raises(BaseException, match="there is no MNIST") as raised:
        requirements.skip("mnist", "there is no MNIST")
    assert type(raised.value).__name__ == outcome


def test_an_unknown_requirement_is_named(monkeypatch):
    monkeypatch.setenv("TF_JMVAE_REQUIRE", "mnist,chrome")
    with pytest.raises(ValueError, match="knows browser, celeba, emoji, fsdd, mnist, nginx, tfserving; got chrome"):
        requirements.skip("browser", "there is none")
