"""No message of an endpoint carries a secret on, also not one that is not ours."""

from __future__ import annotations

from reasoner.chat.endpoint.faults import mask_secrets


def test_our_secrets_and_whatever_looks_like_one_are_masked() -> None:
    said = (
        "key hunter2secret or sk-other-0123456789 or hf_abcdefghijkl refused by "
        "https://user:pass@host/v1"
    )
    assert mask_secrets(said, ("hunter2secret",)) == (
        "key *** or *** or *** refused by https://***@host/v1"
    )


def test_a_message_is_one_bounded_line_without_control_characters() -> None:
    text = mask_secrets("first\n\x1b[2Jsecond\u202e\x00" + "x" * 1000)
    assert text.isprintable() and text.startswith("first [2Jsecond x") and len(text) == 400
