"""Decoding of JSON as leniently as the protocol asks, at no cost to those who write it plainly.

The strict path is tried first. Text that it refuses is rewritten, guided by the type: field names in any case
become the declared ones, ``null`` becomes the zero value, and the rest stays to the letter. What is then still
refused is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, inspect

T = TypeVar("T")

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_NULL = b"null"

Rewrite = Callable[[bytes], bytes]


class Decoder(Generic[T]):
    """Decodes JSON text into one type."""

    def __init__(self, type_: type[T]) -> None:
        self._strict = msgspec.json.Decoder(type_)
        self._type = type_
        self._rewrite: Rewrite | None = None

    def decode(self, text: str) -> T:
        """Read the text; raise `msgspec.MsgspecError` when it is not JSON of this type.

        A NUL character anywhere is refused: no database of ours can store it.
        """
        try:
            return self._decode(text)
        except RecursionError:
            raise msgspec.DecodeError("JSON is nested too deeply") from None

    def _decode(self, text: str) -> T:
        if "\\u0000" in text:
            _refuse_nul(text)
        try:
            return self._strict.decode(text)
        except msgspec.ValidationError:
            if self._rewrite is None:
                self._rewrite = _rewriter(inspect.type_info(self._type), {})
            return self._strict.decode(self._rewrite(text.encode()))


def _rewriter(info: inspect.Type, seen: dict[type, Rewrite]) -> Rewrite:
    match info:
        case inspect.StructType():
            if info.cls not in seen:
                # a type may contain itself, so its rewriter is known before it is complete
                fields: dict[str, tuple[str, Rewrite]] = {}
                seen[info.cls] = lambda text: _rewrite_struct(text, fields)
                if info.tag_field:
                    fields[info.tag_field.lower()] = (info.tag_field, _as_is)
                for field in info.fields:
                    name = field.encode_name
                    fields[name.lower()] = (name, _rewriter(field.type, seen))
            return seen[info.cls]
        case inspect.ListType():
            item, zero = _rewriter(info.item_type, seen), _zero(info.item_type)
            return lambda text: _rewrite_list(text, item, zero)
        case inspect.DictType():
            value, zero = _rewriter(info.value_type, seen), _zero(info.value_type)
            return lambda text: _rewrite_dict(text, value, zero)
        case inspect.UnionType():
            inner = [member for member in info.types if not isinstance(member, inspect.NoneType)]
            return _rewriter(inner[0], seen) if len(inner) == 1 else _as_is
        case _:
            return _as_is


def _as_is(text: bytes) -> bytes:
    return text


def _rewrite_struct(text: bytes, fields: dict[str, tuple[str, Rewrite]]) -> bytes:
    if not text.lstrip().startswith(b"{"):
        return text
    found: dict[str, bytes] = {}
    exact: set[str] = set()
    for key, value in _FIELDS.decode(text).items():
        name, rewrite = fields.get(key.lower(), ("", _as_is))
        if not name or (name in exact and key != name):
            continue
        if key == name:
            exact.add(name)
        if bytes(value) != _NULL:
            found[name] = rewrite(bytes(value))
        else:
            found.pop(name, None)
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), value) for name, value in found.items()) + b"}"


def _rewrite_list(text: bytes, item: Rewrite, zero: bytes) -> bytes:
    if not text.startswith(b"["):
        return text
    return b"[" + b",".join(_item(bytes(value), item, zero) for value in _ITEMS.decode(text)) + b"]"


def _rewrite_dict(text: bytes, value: Rewrite, zero: bytes) -> bytes:
    if not text.startswith(b"{"):
        return text
    items = _FIELDS.decode(text).items()
    return (
        b"{" + b",".join(msgspec.json.encode(key) + b":" + _item(bytes(raw), value, zero) for key, raw in items) + b"}"
    )


def _item(text: bytes, rewrite: Rewrite, zero: bytes) -> bytes:
    return zero if text == _NULL else rewrite(text)


def _zero(info: inspect.Type) -> bytes:
    match info:
        case inspect.StrType():
            return b'""'
        case inspect.IntType() | inspect.FloatType():
            return b"0"
        case inspect.BoolType():
            return b"false"
        case inspect.StructType():
            return b"{}"
        case _:
            return _NULL


def _refuse_nul(text: str) -> None:
    pending = [msgspec.json.decode(text)]
    while pending:
        value: Any = pending.pop()
        if isinstance(value, str) and "\0" in value:
            raise msgspec.ValidationError("text must not contain NUL characters")
        if isinstance(value, dict):
            pending.extend(value.keys())
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
