"""Redirects and certificates, with real servers."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from openai_server import Server, fail, say

from memory.embed import EmbeddingError
from memory.endpoint import EndpointEmbedding
from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.faults import EndpointDownError, PermanentError
from reasoner.chat.message import Message
from reasoner.settings import ModelSettings

ASKED: list[Message] = [{"role": "user", "content": "the prompt"}]


async def ask(url: str, *, stream: bool = True) -> Reply:
    address = Address(url, url, "a-key", "OPENAI_API_KEY")
    endpoint = ModelEndpoint(address, "m", ModelSettings(stream=stream, answer_time_s=20))
    try:
        return await endpoint.send(ASKED, {})
    finally:
        await endpoint.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_prompt_is_sent_to_another_host(status: int, stream: bool) -> None:
    with Server(lambda body, n: say("stolen")) as other:
        target = {"Location": f"{other.url}/chat/completions"}
        with (
            Server(lambda body, n: fail(status, headers=target)) as server,
            pytest.raises(PermanentError) as caught,
        ):
            await ask(server.url, stream=stream)
        assert other.requests == []
    text = str(caught.value)
    assert f"redirects to http://127.0.0.1:{other.port}, and nothing is sent" in text
    assert "a-key" not in text


async def test_a_redirect_on_the_same_host_is_followed_with_the_key() -> None:
    target = {"Location": "/v1/chat/completions?moved=1"}
    with Server(
        lambda body, n: fail(307, headers=target) if n == 0 else say("here"), key="a-key"
    ) as server:
        assert (await ask(server.url)).content == "here"
        assert [body["messages"] for body in server.requests] == [ASKED, ASKED]


async def test_a_redirect_that_loses_the_request_is_named() -> None:
    target = {"Location": "/elsewhere"}
    with (
        Server(lambda body, n: fail(303, headers=target)) as server,
        pytest.raises(PermanentError, match=r"'/elsewhere' \(303\), which loses the request"),
    ):
        await ask(server.url)


async def test_a_circle_of_redirects_ends() -> None:
    target = {"Location": "/v1/chat/completions"}
    with (
        Server(lambda body, n: fail(307, headers=target)) as server,
        pytest.raises(PermanentError, match="redirects more than 5 times"),
    ):
        await ask(server.url)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody but itself has signed, and its key."""
    openssl = shutil.which("openssl") or pytest.skip("needs the program openssl")
    folder = tmp_path_factory.mktemp("tls")
    names = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-out", str(names[0]), "-keyout", str(names[1])],
        check=True,
        capture_output=True,
    )
    return names


class EncryptedServer(Server):
    """The same server behind TLS."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        super().__init__(lambda body, n: say("secret"))
        self.certificate = certificate

    def __enter__(self) -> EncryptedServer:
        super().__enter__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.port}/v1"
        return self


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_self_signed_certificate_is_named_with_its_remedy(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with EncryptedServer(certificate) as server:
        with pytest.raises(EndpointDownError) as caught:
            await ask(server.url)
        text = str(caught.value)
        assert re.search("its certificate is not trusted: self[- ]signed certificate", text)
        assert "SSL_CERT_FILE" in text and "permitted" not in text
        monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
        with pytest.raises(EmbeddingError, match="its certificate is not trusted: self"):
            EndpointEmbedding("m", server.url, api_key="k", timeout_s=10).embed(["a"])
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))  # the remedy works
        assert (await ask(server.url)).content == "secret"
