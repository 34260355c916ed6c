"""The one machine instruction that a plain loop does not come down to.

Rules of the room: no arithmetic, so that no result can depend on it. A Python function stands for
it where a kernel runs uncompiled (docs/adr/0018).
"""

from collections.abc import Callable
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from stream.core.layout import Records

Codegen = tuple[Any, Callable[..., Any]]


def copy_bytes(out: Records, at: int, data: Records, begin: int, size: int) -> None:
    """out[at : at + size] = data[begin : begin + size], of uint8 that do not overlap.

    The compiler makes a loop of a slice of unknown length, its last bytes one by one: ten times
    the time for texts of 15 bytes.
    """
    out[at : at + size] = data[begin : begin + size]


@intrinsic  # type: ignore[untyped-decorator]
def _copy(_: Any, out: Any, at: Any, data: Any, begin: Any, size: Any) -> Codegen:  # noqa: ARG001
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, source = (
            builder.gep(context.make_array(kind)(context, builder, array).data, [place])
            for kind, array, place in (
                (signature.args[0], args[0], args[1]),
                (signature.args[2], args[2], args[3]),
            )
        )
        cgutils.raw_memcpy(builder, to, source, args[4], 1)
        return context.get_dummy_value()

    return types.void(out, types.intp, data, types.intp, types.intp), codegen


def _copied(out: Any, at: Any, data: Any, begin: Any, size: Any) -> None:
    _copy(out, at, data, begin, size)


@overload(copy_bytes, strict=False)  # type: ignore[untyped-decorator]
def _compiled_copy(out: Any, at: Any, data: Any, begin: Any, size: Any) -> Any:  # noqa: ARG001
    return _copied
