"""The counts that README and model cards quote."""

import pytest

from ugicm_train.config import network_preset
from ugicm_train.describe import describe


def test_nano_counts_are_stable():
    found = describe(network_preset("nano"))
    assert found.parameters == 2_964_544
    assert found.encoder_parameters == 1_804_672
    assert found.decoder_parameters == 2_027_904
    assert found.encoder_kmac == pytest.approx(8.07, abs=0.01)
    assert found.decoder_kmac == pytest.approx(13.90, abs=0.01)
    assert found.scale_network_kmac == pytest.approx(0.119, abs=0.0005)


def test_costs_per_pixel_hardly_depend_on_the_size():
    network = network_preset("nano")
    small, large = describe(network, 64), describe(network, 192)
    assert small.decoder_kmac == pytest.approx(large.decoder_kmac, rel=0.01)
    assert small.encoder_kmac == pytest.approx(large.encoder_kmac, rel=0.01)
