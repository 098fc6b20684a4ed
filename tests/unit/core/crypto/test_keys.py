"""Keys, identities and signatures: the vectors of the protocol, and what has to be refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony.crypto import PrivateKey, recover
from kolony.errors import BadRequest, InvalidSignature

KEY = "d50e7dd35f7e1c371dfc2751333f63cb74353dfa39e98b95a443252dfadfedb5"
PUBLIC = (
    "0494c3f1997f9cedd4fafb09c263476813b4ff5b95d981dc0fcf195c7fe0692b66"
    "16f7d64c9907aa7885b25a008fbaf16945c72e9ba7a0e1efb957df1eb9169489"
)
IDENTITY = "139fc59766d8b5d2b48508f071fb4b3d2615680eba45a61373d532ba66c12178"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True)
class Vector:
    payload: bytes
    digest: str
    r: str
    s: str
    v: int

    @property
    def signature(self) -> str:
        return self.signed(self.v)

    def signed(self, v: int) -> str:
        return f"{self.r}{self.s}{v:02x}"


VECTORS = [
    Vector(
        payload=b"eyJtc2d0eXBlIjoiZ2V0Y29sb25pZXNtc2cifQ==",
        digest="60505a7286296481b371f5f0d831f1065594d9be11e8acabeab18052712949b9",
        r="076be61bb47c66bca6836b4c5b13a39d114423bf34592f84fd7f28762437d968",
        s="5eb51ede280d1a1a70cfacc3920785e4fceef912d56fc97fedbcd001b370f789",
        v=0,
    ),
    Vector(
        payload=b"eyJtc2d0eXBlIjogImdldGNvbG9uaWVzbXNnIn0=",
        digest="eadda7cf07edf81c2803ef44e180181d037cc68dfce136f18b91891f1e39be17",
        r="efb078db24a8ff0d550d713e649bc749a482ae993908778efd77306f6544478c",
        s="4a58398172728ce66ac2d4946776735f366ec7dc7b5f811d76cd096db1403ab6",
        v=1,
    ),
]
VECTOR = VECTORS[0]


def test_the_key_of_the_vectors() -> None:
    key = PrivateKey(KEY)
    assert (key.hex, key.public_hex, key.identity) == (KEY, PUBLIC, IDENTITY)


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_is_signed_and_recovered(vector: Vector) -> None:
    assert hashlib.sha3_256(vector.payload).hexdigest() == vector.digest
    assert PrivateKey(KEY).sign(vector.payload) == vector.signature
    assert recover(vector.payload, vector.signature) == IDENTITY
    assert recover(vector.payload, vector.signature.upper()) == IDENTITY


@pytest.mark.parametrize("vector", VECTORS)
def test_recovery_ids_4_to_7_mean_the_same_as_0_to_3(vector: Vector) -> None:
    assert recover(vector.payload, vector.signed(vector.v + 4)) == IDENTITY


@pytest.mark.parametrize("v", [8, 27, 28, 255])
def test_other_recovery_ids_are_refused(v: int) -> None:
    with pytest.raises(InvalidSignature, match="Failed to recover public key"):
        recover(VECTOR.payload, VECTOR.signed(v))


def test_the_other_recovery_id_gives_another_identity() -> None:
    assert recover(VECTOR.payload, VECTOR.signed(1)) != IDENTITY


@pytest.mark.parametrize("vector", VECTORS)
def test_a_high_s_is_refused(vector: Vector) -> None:
    mirrored = f"{vector.r}{ORDER - int(vector.s, 16):064x}{vector.v ^ 1:02x}"
    with pytest.raises(InvalidSignature, match="over half the order"):
        recover(vector.payload, mirrored)


def test_the_largest_low_s_is_no_high_s() -> None:
    largest, next_one = (f"{VECTOR.r}{ORDER // 2 + step:064x}00" for step in (0, 1))
    recover(VECTOR.payload, largest)
    with pytest.raises(InvalidSignature, match="over half the order"):
        recover(VECTOR.payload, next_one)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "00",
        VECTOR.signature[:-2],
        VECTOR.signature + "00",
        VECTOR.signature[:-1],
        " " + VECTOR.signature,
        "zz" * 65,
    ],
)
def test_signatures_of_a_wrong_form_are_refused(signature: str) -> None:
    with pytest.raises(InvalidSignature, match="Invalid signature"):
        recover(VECTOR.payload, signature)


@pytest.mark.parametrize(
    "r, s",
    [
        ("00" * 32, VECTOR.s),
        (VECTOR.r, "00" * 32),
        (f"{ORDER:064x}", VECTOR.s),
        ("ff" * 32, VECTOR.s),
        (f"{5:064x}", VECTOR.s),  # 5 is no X coordinate of the curve
    ],
)
def test_numbers_that_fit_no_point_are_refused(r: str, s: str) -> None:
    with pytest.raises(InvalidSignature, match="Failed to recover public key"):
        recover(VECTOR.payload, f"{r}{s}00")


def test_another_payload_gives_another_identity() -> None:
    assert recover(VECTORS[1].payload, VECTOR.signature) != IDENTITY


@pytest.mark.parametrize(
    "text", ["", "00" * 32, f"{ORDER:064x}", "ff" * 32, KEY[:-1], KEY + "0", KEY[:-1] + "g", " " + KEY[1:], "é" * 64]
)
def test_what_is_no_private_key_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        PrivateKey(text)
    assert KEY[:8] not in str(caught.value)


def test_the_largest_and_the_smallest_key() -> None:
    for number in (1, ORDER - 1):
        key = PrivateKey(f"{number:064x}")
        assert recover(b"x", key.sign(b"x")) == key.identity


def test_a_key_does_not_show_itself() -> None:
    key = PrivateKey(KEY)
    assert KEY not in f"{key!r} {key}"


@given(number=st.integers(1, ORDER - 1), payload=st.binary(max_size=200))
def test_what_a_key_signs_is_recovered_to_its_identity(number: int, payload: bytes) -> None:
    key = PrivateKey(f"{number:064x}")
    signature = key.sign(payload)
    assert int(signature[64:128], 16) <= ORDER // 2
    assert recover(payload, signature) == key.identity


@given(
    payload=st.binary(max_size=64),
    signature=st.one_of(st.text(max_size=140), st.binary(min_size=65, max_size=65).map(bytes.hex)),
)
def test_no_signature_raises_anything_else(payload: bytes, signature: str) -> None:
    try:
        identity = recover(payload, signature)
    except InvalidSignature:
        return
    assert len(identity) == 64


def test_new_keys_differ() -> None:
    assert len({PrivateKey.generate().identity for _ in range(20)}) == 20
