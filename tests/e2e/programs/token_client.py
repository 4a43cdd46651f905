"""httpx renews tokens over HTTP/2: token_client.py URL CA

For each refresh token of standard input: two renewals, an upload, and a use of the last token, all
on one connection, so that the second renewal's path is an entry of the compression table.
"""

import sys

import httpx

if __name__ == "__main__":
    base, ca = sys.argv[1:]
    with httpx.Client(http1=False, http2=True, verify=ca, trust_env=False, timeout=30) as client:
        for token in sys.stdin.read().split():
            for _ in range(2):
                answer = client.post(f"{base}/oauth/token", data={
                    "grant_type": "refresh_token", "refresh_token": token}).json()
                client.post(f"{base}/upload", content=f"refresh_token={token}")
                token = answer["refresh_token"]
            client.get(f"{base}/api", headers={"Authorization": f"Bearer {answer['access_token']}"})
