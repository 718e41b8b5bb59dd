"""Common HTTP clients behind one function: send JSON, return status and text."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import httpx
import httpx2
import requests
import urllib3

KEY = "a-live-key-0123456789"
HEADERS = {"x-goog-api-key": KEY, "content-type": "application/json"}


class Answer(NamedTuple):
    status: int
    text: str


Ask = Callable[[str, Any], Answer]


def by_httpx(url: str, body: Any) -> Answer:
    with httpx.Client() as client:
        answer = client.post(url, json=body, headers=HEADERS)
        return Answer(answer.status_code, answer.text)


def by_httpx_stream(url: str, body: Any) -> Answer:
    with httpx.Client() as client, client.stream("POST", url, json=body, headers=HEADERS) as answer:
        return Answer(answer.status_code, "".join(answer.iter_text()))


def by_httpx_async(url: str, body: Any) -> Answer:
    async def ask() -> Answer:
        async with (
            httpx.AsyncClient() as client,
            client.stream("POST", url, json=body, headers=HEADERS) as answer,
        ):
            return Answer(answer.status_code, "".join([part async for part in answer.aiter_text()]))

    return asyncio.run(ask())


def by_httpx2(url: str, body: Any) -> Answer:
    with httpx2.Client() as client:
        answer = client.post(url, json=body, headers=HEADERS)
        return Answer(answer.status_code, answer.text)


def by_httpx2_async(url: str, body: Any) -> Answer:
    async def ask() -> Answer:
        async with httpx2.AsyncClient() as client:
            answer = await client.post(url, json=body, headers=HEADERS)
            return Answer(answer.status_code, answer.text)

    return asyncio.run(ask())


def by_requests(url: str, body: Any) -> Answer:
    answer = requests.post(url, json=body, headers=HEADERS, timeout=30)
    return Answer(answer.status_code, answer.text)


def by_requests_stream(url: str, body: Any) -> Answer:
    with requests.post(url, json=body, headers=HEADERS, timeout=30, stream=True) as answer:
        return Answer(answer.status_code, b"".join(answer.iter_content(16)).decode())


def by_urllib3(url: str, body: Any) -> Answer:
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", url, body=json.dumps(body).encode(), headers=HEADERS)
        return Answer(answer.status, answer.data.decode())


def by_http_client(url: str, body: Any) -> Answer:
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=30)
    connection.request("POST", parts.path, json.dumps(body), HEADERS)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Answer(answer.status, text)


def by_aiohttp(url: str, body: Any) -> Answer:
    async def ask() -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, headers={"x-goog-api-key": KEY}) as answer,
        ):
            return Answer(answer.status, await answer.text())

    return asyncio.run(ask())


def by_aiohttp_stream(url: str, body: Any) -> Answer:
    async def ask() -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=json.dumps(body), headers=HEADERS) as answer,
        ):
            return Answer(answer.status, b"".join([line async for line in answer.content]).decode())

    return asyncio.run(ask())


CLIENTS: dict[str, Ask] = {
    name.removeprefix("by_"): thing
    for name, thing in dict(globals()).items()
    if name.startswith("by_")
}
