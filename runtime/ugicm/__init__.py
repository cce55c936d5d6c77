"""UG-ICM: one bitstream, two readers. `Codec.open().encode(image)` and `.decode(stream, view="machine")`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import VERSION as __version__

if TYPE_CHECKING:
    from .codec import Codec as Codec
    from .codec import Symbols as Symbols
    from .errors import BundleError as BundleError
    from .errors import CorruptStreamError as CorruptStreamError
    from .errors import EngineError as EngineError
    from .errors import ImageError as ImageError
    from .errors import NotAStreamError as NotAStreamError
    from .errors import OptionError as OptionError
    from .errors import StreamError as StreamError
    from .errors import TooLargeError as TooLargeError
    from .errors import TruncatedStreamError as TruncatedStreamError
    from .errors import UgicmError as UgicmError
    from .errors import UnsupportedVersionError as UnsupportedVersionError
    from .errors import WrongModelError as WrongModelError

__all__ = [
    "BundleError",
    "Codec",
    "CorruptStreamError",
    "EngineError",
    "ImageError",
    "NotAStreamError",
    "OptionError",
    "StreamError",
    "Symbols",
    "TooLargeError",
    "TruncatedStreamError",
    "UgicmError",
    "UnsupportedVersionError",
    "WrongModelError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import the module that defines `name` on first use, so that `import ugicm` itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'ugicm' has no attribute {name!r}")
    module = ".codec" if name in ("Codec", "Symbols") else ".errors"
    return getattr(import_module(module, __name__), name)
