"""Sizes and batches an engine is made for: smallest, best, largest."""

from __future__ import annotations

from dataclasses import dataclass

MULTIPLE = 64
MAX_SIDE = 1 << 14
MAX_BATCH = 1024

Range = tuple[int, int, int]
Shape = tuple[int, ...]


class ProfileError(ValueError):
    """A range is not usable; the message says why."""


@dataclass(frozen=True)
class Profile:
    """Both sides of a picture in pixels (multiples of 64), and the batch: (smallest, best, largest) each."""

    side: Range = (64, 1024, 4096)
    batch: Range = (1, 1, 8)

    def __post_init__(self) -> None:
        for name, values, step, limit in (
            ("image size", self.side, MULTIPLE, MAX_SIDE),
            ("batch", self.batch, 1, MAX_BATCH),
        ):
            if not step <= values[0] <= values[1] <= values[2] <= limit or any(value % step for value in values):
                kind = f"multiples of {step} " if step > 1 else ""
                raise ProfileError(
                    f"{name} is {','.join(map(str, values))}, expected smallest,best,largest in rising order, "
                    f"{kind}in {step}..{limit}"
                )

    def encoder(self) -> dict[str, tuple[Shape, Shape, Shape]]:
        """Shapes of each input of the encoder engine."""
        return {"image": self._shapes(lambda b, s: (b, s, s, 3)), "quality": self._shapes(lambda b, s: (b,))}

    def decoder(self, hyper: int, latent: int) -> dict[str, tuple[Shape, Shape, Shape]]:
        """Shapes of each input of the decoder engine."""
        return {
            "z": self._shapes(lambda b, s: (b, hyper, s // 64, s // 64)),
            "r": self._shapes(lambda b, s: (b, latent, s // 16, s // 16)),
            "quality": self._shapes(lambda b, s: (b,)),
            "preference": self._shapes(lambda b, s: (b,)),
        }

    def _shapes(self, shape) -> tuple[Shape, Shape, Shape]:  # type: ignore[no-untyped-def]
        smallest, best, largest = (shape(batch, side) for batch, side in zip(self.batch, self.side))
        return smallest, best, largest


def parse_range(text: str) -> Range:
    """`min,opt,max`, or one number for all three; ProfileError if it is neither."""
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise ProfileError(f"{text!r} is not a range, expected smallest,best,largest such as 64,1024,4096")
    return numbers[0], numbers[1], numbers[2]
