"""Rescale channels so that eight bits suit all of them, without changing what the network computes.

Between linear layers, and through leaky ReLU, a positive factor per channel can move from one layer to the next: multiply the
rows that write a channel, divide the columns that read it (Nagel et al., "Data-free quantization through weight equalization
and bias correction", ICCV 2019). Here the factors come from ranges measured on pictures. The biases of the residual branches move
into the layers that read the stream, so that a branch ends in a bare matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ugicm_train.model.codec import Codec
from ugicm_train.model.layers import Pointwise, ResidualBlock

STREAM_FLOOR, HIDDEN_FLOOR = 1e-3, 1e-2
"""Channels whose range is below this share of the widest one's are scaled no further."""
HIDDEN_POWER = 1.0
"""Inside a branch: 1 gives all channels one range, 0 leaves them as they are."""
PHASES = 4


@dataclass(frozen=True)
class Stream:
    """Channels that residual blocks add to: written by `source` (and every block), read by `reader` (and every block).

    `source_phases` is 4 where a pixel shuffle follows the source, `reader_phases` 4 where the reader sees 2x2 cells.
    `door` is the module whose input is the stream as the reader sees it.
    """

    source: Pointwise
    blocks: list[ResidualBlock]
    reader: Pointwise
    door: nn.Module
    source_phases: int = 1
    reader_phases: int = 1


def analysis_streams(codec: Codec) -> list[Stream]:
    """The two streams of the analysis, in order."""
    a = codec.analysis
    return [
        Stream(a.stem, list(a.blocks8), a.down.reduce, a.down, reader_phases=PHASES),  # type: ignore[arg-type]
        Stream(a.down.reduce, list(a.blocks16), a.leave, a.leave),  # type: ignore[arg-type]
    ]


def synthesis_streams(codec: Codec) -> list[Stream]:
    """The two streams of the synthesis, in order."""
    s = codec.synthesis
    return [
        Stream(s.enter, list(s.blocks16), s.up.expand, s.up.expand),  # type: ignore[arg-type]
        Stream(s.up.expand, list(s.blocks8), s.head, s.head, source_phases=PHASES),  # type: ignore[arg-type]
    ]


@torch.no_grad()
def equalise(streams: Iterable[Stream], run: Callable[[], None]) -> None:
    """Change the layers of `streams` in place; `run` passes pictures through them, which is when ranges are measured."""
    streams = list(streams)
    ranges = _Ranges()
    for stream in streams:
        ranges.watch_input(stream, stream.door)
        for block in stream.blocks:
            ranges.watch_input(stream, block.mix_in)
            ranges.watch_input(stream, block.expand)
            ranges.watch_input((block, "hidden"), block.depthwise)
            ranges.watch_input((block, "spread"), block.mix_out)
            ranges.watch_input((block, "expanded"), block.contract)
    run()
    ranges.stop()
    for stream in streams:
        for block in stream.blocks:
            _equalise_branches(block, ranges)
        _scale_stream(stream, _factors(ranges[stream], STREAM_FLOOR, 1.0))
        move_biases(stream)


class _Ranges:
    """Largest magnitude per channel of watched inputs (N,C,H,W), by key."""

    def __init__(self) -> None:
        self._seen: dict[int, Tensor] = {}
        self._keys: dict[int, object] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __getitem__(self, key: object) -> Tensor:
        return self._seen[self._index(key)]

    def watch_input(self, key: object, module: nn.Module) -> None:
        """Widen the range of `key` by whatever goes into `module` from now on."""
        index = self._index(key)
        self._keys[index] = key

        def widen(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            peak = inputs[0].abs().amax(dim=(0, 2, 3))
            self._seen[index] = torch.maximum(self._seen[index], peak) if index in self._seen else peak

        self._hooks.append(module.register_forward_pre_hook(widen))

    def stop(self) -> None:
        for hook in self._hooks:
            hook.remove()

    @staticmethod
    def _index(key: object) -> int:
        return hash((id(key[0]), key[1])) if isinstance(key, tuple) else id(key)


def _factors(ranges: Tensor, floor: float, power: float) -> Tensor:
    return ranges.clamp_min(float(ranges.max()) * floor).clamp_min(1e-12) ** -power


def _equalise_branches(block: ResidualBlock, ranges: _Ranges) -> None:
    """The three hidden tensors of a block: before and after the depthwise filter, and between expand and contract."""
    width = block.mix_in.weight.shape[0]
    factor = _factors(ranges[(block, "hidden")], HIDDEN_FLOOR, HIDDEN_POWER)
    block.mix_in.weight.mul_(factor[:, None])
    block.mix_in.bias.mul_(factor)
    for modulation in (block.modulation, block.preference_modulation):
        if modulation is not None:  # rows: first the scales, which stay, then the shifts
            modulation.weight[width:].mul_(factor[:, None])
            if modulation.bias is not None:
                modulation.bias[width:].mul_(factor)
    block.depthwise.weight.div_(factor[:, None, None, None])
    factor = _factors(ranges[(block, "spread")], HIDDEN_FLOOR, HIDDEN_POWER)
    block.depthwise.weight.mul_(factor[:, None, None, None])
    if block.depthwise.bias is not None:
        block.depthwise.bias.mul_(factor)
    block.mix_out.weight.div_(factor)
    factor = _factors(ranges[(block, "expanded")], HIDDEN_FLOOR, HIDDEN_POWER)
    block.expand.weight.mul_(factor[:, None])
    block.expand.bias.mul_(factor)
    block.contract.weight.div_(factor)


def _scale_stream(stream: Stream, factor: Tensor) -> None:
    written = factor.repeat_interleave(stream.source_phases)
    stream.source.weight.mul_(written[:, None])
    stream.source.bias.mul_(written)
    for block in stream.blocks:
        for reader in (block.mix_in, block.expand):
            reader.weight.div_(factor)
        for writer in (block.mix_out, block.contract):
            writer.weight.mul_(factor[:, None])
            writer.bias.mul_(factor)
    stream.reader.weight.div_(factor.repeat_interleave(stream.reader_phases))


def move_biases(stream: Stream) -> None:
    """Leave the biases of the branches out of the stream and add what they would have done to each later reader."""
    missing = torch.zeros(stream.blocks[0].mix_out.bias.shape[0] if stream.blocks else 0)
    for block in stream.blocks:
        block.mix_in.bias.add_(block.mix_in.weight @ missing)
        missing = missing + block.mix_out.bias
        block.mix_out.bias.zero_()
        block.expand.bias.add_(block.expand.weight @ missing)
        missing = missing + block.contract.bias
        block.contract.bias.zero_()
    if stream.blocks:
        stream.reader.bias.add_(stream.reader.weight @ missing.repeat_interleave(stream.reader_phases))
