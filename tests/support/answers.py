"""What tests ask of replies."""

from __future__ import annotations

from colonies import Answer


def refusal(answer: Answer) -> tuple[int, str]:
    """Status and text of a refused call; its reply has to be the error object of the protocol, and agree with HTTP."""
    assert (answer.error, answer.payloadtype) == (True, "error"), answer
    assert answer.payload == {"status": answer.status, "message": answer.message}
    return answer.status, answer.message
