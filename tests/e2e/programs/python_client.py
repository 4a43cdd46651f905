"""Python's HTTP libraries: python_client.py LIBRARY NAME URL CA COUNT [FILE]"""

import asyncio
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plan  # noqa: E402


def with_urllib(name, base, ca, count):
    context = ssl.create_default_context(cafile=ca)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    for number in range(count):
        method, target, headers, body = plan.request(name, number)
        request = urllib.request.Request(base + target, body, headers, method=method)
        try:
            opener.open(request, timeout=30).read()
        except urllib.error.HTTPError as error:
            error.read()


def with_requests(name, base, ca, count):
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.verify = ca
        for number in range(count):
            method, target, headers, body = plan.request(name, number)
            session.request(method, base + target, headers=headers, data=body, timeout=30)


def with_httpx(name, base, ca, count):
    import httpx

    with httpx.Client(verify=ca, trust_env=False, timeout=30) as client:
        for number in range(count // 2):
            method, target, headers, body = plan.request(name, number)
            client.request(method, base + target, headers=headers, content=body)

    async def rest():
        async with httpx.AsyncClient(verify=ca, trust_env=False, timeout=30) as client:
            for number in range(count // 2, count):
                method, target, headers, body = plan.request(name, number)
                await client.request(method, base + target, headers=headers, content=body)

    asyncio.run(rest())


def with_http2(name, base, ca, count, file=""):
    """httpx, one stream at a time, for httpcore 0.16 mixes up the ids of streams that begin at once.

    The second half waits until `file` is there, the last quarter is on a connection of its own.
    """
    import httpx

    with httpx.Client(http1=False, http2=True, verify=ca, trust_env=False, timeout=30) as client:
        for number in range(count // 2):
            method, target, headers, body = plan.request(name, number)
            client.request(method, base + target, headers=headers, content=body)
        while file and not os.path.exists(file):
            time.sleep(0.05)
        for number in range(count // 2, count * 3 // 4):
            method, target, headers, body = plan.request(name, number)
            client.request(method, base + target, headers=headers, content=body)

    async def rest():
        async with httpx.AsyncClient(http1=False, http2=True, verify=ca, trust_env=False,
                                     timeout=30) as client:
            for number in range(count * 3 // 4, count):
                method, target, headers, body = plan.request(name, number)
                await client.request(method, base + target, headers=headers, content=body)

    asyncio.run(rest())


def with_aiohttp(name, base, ca, count):
    import aiohttp

    async def run():
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca), limit=4)
        async with aiohttp.ClientSession(connector=connector) as session:
            async def one(number):
                method, target, headers, body = plan.request(name, number)
                async with session.request(method, base + target, headers=headers,
                                           data=body) as response:
                    await response.read()

            await asyncio.gather(*(one(number) for number in range(count)))

    asyncio.run(run())


if __name__ == "__main__":
    library, client_name, url, ca_file, requests_count, *rest_arguments = sys.argv[1:]
    globals()[f"with_{library}"](client_name, url, ca_file, int(requests_count), *rest_arguments)
