"""Hostile calls to the review pages: hostile fields in the forms of who is signed in, and forms that others forged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import httpx
from hostile.sending import Call
from hostile.values import IDS, VALUES

FORM = ("Content-Type", "application/x-www-form-urlencoded")
SCRIPT = ("Accept", "application/json")
ITEM = {"question_id": "not-json-000", "failure_label": "not-json"}
FIELDS: dict[str, dict[str, str]] = {  # what is right about each form
    "corrections": ITEM | {
        "action": "save", "corrected_output": "x", "reason": "x", "a": "", "b": "", "version": "0", "seconds": "1", "prompt_key": "0" * 64,
    },
    "undo": {},
    "lease": {"question_id": "not-json-000"},
    "bulk": {"reason": "1", "words": "x", "token": "x"},
}  # fmt: skip
ACTIONS = [*(f"prefer:{choice}" for choice in ("a", "b", "tie", "neither", "up", "down")), "use:" + "0" * 12, "reason:9", "unsure", "open"]  # fmt: skip


class PageCalls:
    """of: `http`, a client of a curator with a run log. It signs in."""

    def __init__(self, http: httpx.Client, token: str, run_log_id: str) -> None:
        signed_in = http.post("/review/sign-in", data={"token": token, "next": "/review", "reviewer": "mia"})
        self.cookie = ("Cookie", signed_in.headers["set-cookie"].partition(";")[0])
        self._token, self._page = token, f"/review/{run_log_id}"
        shown = http.get(self._page, headers=dict([self.cookie])).raise_for_status().text
        self._form_token = re.search('name="form_token" value="([^"]+)"', shown)[1]  # type: ignore[index]

    def table(self) -> Iterator[Call]:
        for name in ("label", "slice", "show", "item", "after", "edit", "pair", "mode", "done"):
            for value in VALUES:
                yield Call("curator", "GET", f"{self._page}?{name}={value}", (self.cookie,))
        for value in VALUES:
            yield Call("curator", "GET", f"/review?page={value}", (self.cookie,))
        for many in (50, 1000, 5000):
            labels = "&".join(f"label={number:04d}" for number in range(many))
            yield Call("curator", "GET", f"{self._page}?{labels}", (self.cookie,), well_formed=many < 5000)
        for value in IDS:
            yield Call("curator", "GET", f"/review/{value}", (self.cookie,))
        for page in ("/review", self._page):
            yield Call("curator", "GET", page, allowed=False)
        for action in FIELDS:
            yield from self._own_forms(action)
            yield from self._forged_forms(f"{self._page}/{action}")
        yield from self._sign_ins()

    def _own_forms(self, action: str) -> Iterator[Call]:
        right = FIELDS[action] | {"form_token": self._form_token}
        for path, more in (
            (self._page, ""),
            (self._page, "?show=second&mode=compare"),
            ("/review/0123456789abcdef", ""),
        ):
            yield self._form(f"{path}/{action}{more}", urlencode(right))
        for name in FIELDS[action]:
            others = urlencode({other: value for other, value in right.items() if other != name})
            yield self._form(f"{self._page}/{action}", others)
            for number, value in enumerate(VALUES):
                view = ("", "?show=second", "?mode=compare")[number % 3]
                yield self._form(f"{self._page}/{action}{view}", f"{others}&{name}={value}", bool(view))
        if action == "corrections":
            for chosen in ACTIONS:
                for answers in ("", "&a=x&b=x", "&a=%00", "&a=" + "0" * 64 + "&b=" + "0" * 64):
                    yield self._form(f"{self._page}/{action}", urlencode(right | {"action": chosen}) + answers, True)

    def _form(self, target: str, body: str, by_script: bool = False) -> Call:
        headers = (self.cookie, FORM, *([SCRIPT] if by_script else []))
        return Call("curator", "POST", target, headers, body.encode())

    def _sign_ins(self) -> Iterator[Call]:
        for value in ("//evil.example", "/review/../x", "/review/\\evil.example", "https://evil.example", "\x00"):
            form = urlencode({"token": "wrong", "next": value}).encode()
            yield Call("curator", "POST", "/review/sign-in", (FORM,), form, allowed=False)
        for name in ("next", "reviewer"):
            for value in VALUES:
                form = f"token={quote(self._token)}&next=/review&{name}={value}".encode()
                yield Call("curator", "POST", "/review/sign-in", (FORM,), form)

    def _forged_forms(self, target: str) -> Iterator[Call]:
        """Another site's form, sent by a browser that is signed in: the session is right, the form's token is not."""
        fields = ITEM | {"corrected_output": "owned"}
        for forged in ("", "x", self.cookie[1], "\x00", "é" * 10):
            form = urlencode(fields | {"form_token": forged}).encode()
            origin = (("Origin", "https://evil.example"), ("Referer", "https://evil.example/x"))
            yield Call("curator", "POST", target, (self.cookie, FORM, *origin), form, allowed=False)
        for kind, body in (
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=", b"--\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\n\x00\xff: \r\n\r\n--x--"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a; filename=../x\r\n\r\n1\r\n--x--\r\n"),
            ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 2000 + b"--x--"),
            ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(3000))),
            ("application/x-www-form-urlencoded", b"%ff=%ff&form_token=%00&question_id=%ed%a0%80"),
        ):  # fmt: skip
            yield Call("curator", "POST", target, (self.cookie, ("Content-Type", kind)), body, allowed=False)
            yield Call("curator", "POST", "/review/sign-in", (("Content-Type", kind),), body, allowed=False)
