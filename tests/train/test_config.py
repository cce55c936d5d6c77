"""Configuration: presets, the rate axis, the learning-rate schedule, and what is refused."""

import dataclasses
import math

import pytest

from ugicm_train.config import (
    LAMBDA_MAX,
    LAMBDA_MIN,
    PRESETS,
    HyperpriorConfig,
    NetworkConfig,
    TrainConfig,
    field_sentences,
    from_dict,
    network_preset,
    rate_lambda,
)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_give_a_network(name):
    network = network_preset(name)
    assert network.latent % 4 == 0
    assert dataclasses.asdict(network) | PRESETS[name] == dataclasses.asdict(network)


@pytest.mark.parametrize("name", PRESETS)
def test_scale_network_sums_stay_exact_in_float32(name):
    network = network_preset(name)
    assert max(network.hyper * 127, network.scale_hidden * 255, network.scale_fine * 255) * 127 < 2**24


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="nano, base, large, paper"):
        network_preset("huge")


@pytest.mark.parametrize("values", [{"latent": 190}, {"latent": 260}, {"channels8": 193}])
def test_network_sizes_that_cannot_work_are_refused(values):
    with pytest.raises(ValueError, match=str(next(iter(values.values())))):
        NetworkConfig(**values)


def test_rate_axis_is_log_spaced():
    assert rate_lambda(0) == pytest.approx(LAMBDA_MIN)
    assert rate_lambda(63) == pytest.approx(LAMBDA_MAX)
    assert rate_lambda(20) / rate_lambda(19) == pytest.approx(rate_lambda(41) / rate_lambda(40))
    assert [rate_lambda(level, 0.01, 0.1) for level in (0, 63)] == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize("ends", [(0.0, 0.1), (0.2, 0.1)])
def test_a_rate_axis_that_does_not_rise_is_refused(ends):
    with pytest.raises(ValueError, match=f"lambda_max must hold, got {ends[0]}"):
        TrainConfig(lambda_min=ends[0], lambda_max=ends[1])


def test_learning_rate_warms_up_stays_and_falls():
    config = TrainConfig(steps=1000, learning_rate=1.0, warmup=100, decay_from=0.5, final_rate=0.01)
    assert config.learning_rate_at(0) == pytest.approx(0.01)
    assert config.learning_rate_at(49) == pytest.approx(0.5)
    assert config.learning_rate_at(99) == 1
    assert config.learning_rate_at(500) == 1
    assert config.learning_rate_at(750) == pytest.approx(0.01 + 0.99 * 0.5)
    assert config.learning_rate_at(1000) == pytest.approx(0.01)
    falling = [config.learning_rate_at(step) for step in range(500, 1000)]
    assert falling == sorted(falling, reverse=True)


def test_learning_rate_without_warm_up_or_decay():
    config = TrainConfig(steps=10, learning_rate=1.0, warmup=0, decay_from=1.0)
    assert {config.learning_rate_at(step) for step in range(10)} == {1.0}


def test_crops_grow_late_in_the_stage():
    config = TrainConfig(steps=10, batch=16, crop=128, late_batch=8, late_crop=256, late_from=0.5)
    assert [config.shape_at(step) for step in (0, 4, 5, 9)] == [(16, 128), (16, 128), (8, 256), (8, 256)]
    assert dataclasses.replace(config, late_from=1.0).shape_at(9) == (16, 128)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stage": "dreaming"}, "rate_distortion, semantic, preference"),
        ({"optimizer": "sgd"}, "adam, muon"),
        ({"precision": "fp8"}, "bf16, fp32"),
        ({"crop": 100}, "crop must be a positive multiple of 64, got 100"),
        ({"late_crop": 0}, "late_crop must be a positive multiple of 64, got 0"),
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"batch": -1}, "batch must be positive, got -1"),
        ({"human_ms_ssim": 1.5}, r"human_ms_ssim must be in \[0, 1\], got 1.5"),
        ({"human_ms_ssim": 0.2}, "human_ms_ssim needs crops of at least 192 pixels, got 128 and 256"),
    ],
)
def test_bad_settings_say_what_is_expected(values, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**values)


def test_configs_survive_json_types():
    config = TrainConfig(steps=7, learning_rate=1e-3)
    assert from_dict(TrainConfig, dataclasses.asdict(config)) == config
    with pytest.raises(ValueError, match="wings"):
        from_dict(TrainConfig, {"steps": 7, "wings": 2})


@pytest.mark.parametrize("kind", [NetworkConfig, HyperpriorConfig, TrainConfig])
def test_every_field_has_its_sentence(kind):
    sentences = field_sentences(kind)
    assert list(sentences) == [field.name for field in dataclasses.fields(kind)]
    assert all(len(sentence) > 10 for sentence in sentences.values())


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 1
    assert math.isclose(TrainConfig().learning_rate, 4e-4)
