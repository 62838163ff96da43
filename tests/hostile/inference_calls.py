"""Hostile calls to the inference service: each parameter of a completion, its other routes, and HTTP itself. Each asks for one token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
from hostile.sending import Call, Service
from hostile.values import BODIES, HOSTILE_VALUES, IDS, VALUES, as_json, drawn, json_values, raw_bytes, texts
from hypothesis import strategies as st

JSON = ("Content-Type", "application/json")
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
PARAMETERS = (
    "model", "messages", "prompt", "suffix", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "n", "best_of",
    "use_beam_search", "seed", "stop", "stop_token_ids", "bad_words", "allowed_token_ids", "logit_bias", "logprobs", "top_logprobs",
    "prompt_logprobs", "echo", "stream", "stream_options", "frequency_penalty", "presence_penalty", "repetition_penalty", "length_penalty",
    "min_tokens", "ignore_eos", "skip_special_tokens", "spaces_between_special_tokens", "include_stop_str_in_output", "truncate_prompt_tokens",
    "add_generation_prompt", "continue_final_message", "add_special_tokens", "chat_template", "chat_template_kwargs", "documents", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "structured_outputs", "guided_json", "priority", "request_id", "user", "metadata",
    "store", "service_tier", "reasoning_effort", "return_token_ids", "return_tokens_as_token_ids", "cache_salt", "kv_transfer_params",
    "mm_processor_kwargs", "vllm_xargs", "logits_processors", "prompt_embeds", "prompt_token_ids", "modalities", "audio",
)  # fmt: skip
# Of the right kind, and of no sense.
PLAUSIBLE: dict[str, list[Any]] = {
    "messages": [
        [{"role": "user", "content": "\x00\u202e\ufeff"}], [{"role": "nobody", "content": "x"}], [{"role": "user"}], [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}]}],
        [{"role": "tool", "content": "x", "tool_call_id": None}], [{"role": "assistant", "content": None, "tool_calls": [{}]}],
        [{"role": "user", "content": "x"}] * 3000, [{"role": "user", "content": "word " * 20000}], [{"role": "user", "content": "<|im_end|>" * 50}],
    ],
    "prompt": [[[]], [-1], [2**40], [[1, -5]], [10**9], ["a", 1], ["x"] * 40, "x" * 100_000, [[1], "a"], [1.5], {"prompt": "x"}],
    "temperature": [1e-320, 1e30, -0.0], "top_p": [0, 1e-300, 2], "top_k": [0, -2, 2**31, 10**9], "min_p": [1.0, 2],
    "logit_bias": [{"0": 1e308}, {"999999": 5}, {"-1": 5}, {"x": 1}, {str(n): 100 for n in range(2000)}, {"5": "x"}],
    "stop": [["x"] * 3000, [""], "\x00"], "stop_token_ids": [[-1], [2**40], [10**6] * 500], "bad_words": [[""], [" "], ["\x00"] * 500],
    "allowed_token_ids": [[-1], [10**9], [], [2**63]], "logprobs": [1000, 10**9, -2], "top_logprobs": [1000, -1], "prompt_logprobs": [1, 1000, -1, -5],
    "min_tokens": [5, 2**31], "truncate_prompt_tokens": [0, -1, -2, 2**31], "seed": [2**63, 2**64, -(2**63)], "n": [0, 33, 2**40, 1.5],
    "chat_template": ["{{ 1/0 }}", "{% for i in range(10**9) %}x{% endfor %}", "{{ ''.__class__.__mro__ }}", "{{", "{{ raise_exception('x') }}"],
    "chat_template_kwargs": [{"messages": 1}, {"tokenize": True}, {"chat_template": "x"}, {"conversation": []}],
    "tools": [[{}], [{"type": "function", "function": {"name": "\x00"}}], [{"type": "function", "function": {"name": "f", "parameters": {"type": "x"}}}]],
    "tool_choice": ["required", "auto", {"type": "function", "function": {"name": "none"}}],
    "response_format": [{"type": "json_object"}, {"type": "json_schema"}, {"type": "x"}, {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(a{1000}){1000}"}}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}}],
    "structured_outputs": [{"regex": "("}, {"regex": "(a{999}){999}"}, {"choice": []}, {"choice": [""]}, {"choice": ["\ud800"]}, {"json": "{"}, {"grammar": "root ::= root"},
        {"json": {"minimum": 1e400}}, {"regex": "\x00"}, {"json_object": True, "regex": "a"}],
    "stream_options": [{"include_usage": 1}, {"x": 1}], "prompt_embeds": ["AAAA", ["AAAA"]], "cache_salt": ["\x00"], "priority": [2**62],
    "kv_transfer_params": [{"do_remote_prefill": True, "remote_host": "x"}], "vllm_xargs": [{"a": [{}]}, {"kv_transfer_params": "x"}],
}  # fmt: skip
DEEP_TOOLS: Any = {}
for _ in range(200):
    DEEP_TOOLS = {"a": DEEP_TOOLS}
ROUTES = (
    "/v1/models/{}", "/v1/adapters/{}", "/v1/adapters/{}/x", "/v1/adapters/x/{}", "/v1/aliases/{}/x", "/v1/aliases/x/{}", "/v1/adapter-uses?name={}",
    "/v1/remote-models/{}/x", "/v1/remote-models/x/{}", "/v1/remote-models?name={}",
)  # fmt: skip
LISTS = ("/v1/adapters", "/v1/adapters/x", "/v1/adapter-uses", "/v1/remote-models", "/v1/aliases", "/v1/models")
REMOVALS = ("/v1/adapters/{}/x", "/v1/adapters/x/{}", "/v1/adapters/{}/0123456789abcdef", "/v1/remote-models/{}/x", "/v1/remote-models/x/{}", "/v1/remote-models/{}/0123456789abcdef", "/v1/device/lease/{}")  # fmt: skip
ALIAS_CALLS = ("/v1/aliases/{}/production/promote", "/v1/aliases/x/{}/rollback", "/v1/aliases/{}/{}/remove")
# What the body of each change of an alias takes at least.
ALIAS_BODIES: dict[str, dict[str, Any]] = {
    "promote": {"version": "latest", "by": "mia", "override": "because"},
    "rollback": {"by": "mia", "reason": "because"},
    "remove": {"by": "mia", "reason": "because"},
}
PAGES = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/metrics")
OPEN = ("/health", "/healthz", "/readyz")
NOT_OPEN = (
    "/invocations",
    "/tokenize",
    "/v1/load_lora_adapter",
    "/pause",
    "/sleep",
    "/server_info",
    "/docs",
    "/v1/embeddings",
    "/ping",
    "/collective_rpc",
)


class InferenceCalls:
    """of: `http`, a client with the token. adapter: the newest one that is served; calls about it get past its name."""

    def __init__(self, http: httpx.Client) -> None:
        served = http.get("/v1/adapters").json()["adapters"]
        self._adapter, self._version = (served[0]["name"], served[0]["version"]) if served else ("x", "latest")
        self._model = http.get("/v1/models").json()["data"][-1]["root"]

    def table(self) -> Iterator[Call]:
        for name in PARAMETERS:
            for value in [*HOSTILE_VALUES, *PLAUSIBLE.get(name, ()), DEEP_TOOLS]:
                yield self._completion(CHAT if name not in ("prompt", "suffix", "echo") else TEXT, {name: value})
            for value in PLAUSIBLE.get(name, ()):
                yield self._completion(TEXT, {name: value})
        for body in BODIES:
            for path in (CHAT, TEXT):
                for kind in ("application/json", "text/plain", "multipart/form-data", ""):
                    yield Call("inference", "POST", path, (("Content-Type", kind),), body)
        yield from self._other_routes()

    def made(self, count: int, seed: int) -> Iterator[Call]:
        """About `count` completions with some parameters made by hypothesis, and bodies that are none."""
        given = st.dictionaries(st.sampled_from(PARAMETERS), json_values, min_size=1, max_size=3)
        strategy = st.tuples(st.sampled_from((CHAT, TEXT)), given, raw_bytes, st.integers(0, 9), texts)
        for path, parameters, some, kind, text in drawn(strategy, count, seed):
            if kind == 0:
                yield Call("inference", "POST", path, (JSON,), some)
            elif kind == 1:
                route = ROUTES[len(text) % len(ROUTES)].format(quote(text, safe="", errors="surrogatepass") or "x")
                yield Call("inference", "GET", route)
            else:
                yield self._completion(path, parameters)

    def _completion(self, path: str, parameters: dict[str, Any]) -> Call:
        asked = {"messages": [{"role": "user", "content": "Hi"}]} if path == CHAT else {"prompt": "Hi"}
        asked |= {"model": self._model, "max_tokens": 1} | parameters
        if asked["max_tokens"] is None:  # without a length, a chat takes a thousand tokens
            asked.setdefault("max_completion_tokens", 1)
        return Call("inference", "POST", path, (JSON,), as_json(asked))

    def _other_routes(self) -> Iterator[Call]:
        yield from self._registry()
        lease = {"holder": "x", "devices": ["GPU-x"], "ttl_seconds": 1}
        odd = [as_json(lease | {name: value}) for name in (*lease, "size_bytes") for value in HOSTILE_VALUES]
        for body in (*BODIES, *odd):
            yield Call("inference", "POST", "/v1/device/lease", (JSON,), body)
        yield Call("inference", "GET", "/v1/device?devices=\x00")
        for path in (*PAGES, *OPEN):
            for value in VALUES:
                yield Call("inference", "GET", f"{path}?{value}")
        for path in NOT_OPEN:
            for method in ("GET", "POST"):
                yield Call("inference", method, path, (JSON,), b"{}")
        yield from self._strangers()

    def _registry(self) -> Iterator[Call]:
        """Adapters, aliases and remote models: hostile names, pages, and changes of an alias; of a real adapter too, if there is one."""
        for value in IDS:
            for route in ROUTES:
                yield Call("inference", "GET", route.format(value))
            for route in (f"/v1/adapters/{self._adapter}/{{}}", f"/v1/aliases/{self._adapter}/{{}}"):
                yield Call("inference", "GET", route.format(value))
            for route in ALIAS_CALLS:
                for body in (b"{}", b'{"version": "\\u0000", "by": "\\ud800"}', b'{"reason": [], "by": {}}', b"["):
                    yield Call("inference", "POST", route.format(value, value), (JSON,), body)
            for route in REMOVALS:
                yield Call("inference", "DELETE", route.format(value))
        for path in (*LISTS, f"/v1/adapters/{self._adapter}"):
            for name in ("page_size", "page_token", "name"):
                for value in VALUES:
                    yield Call("inference", "GET", f"{path}?{name}={value}")
        for change, good in ALIAS_BODIES.items():
            for alias in ("hostile", "production", self._version, "latest"):
                yield Call("inference", "POST", f"/v1/aliases/{self._adapter}/{alias}/{change}", (JSON,), as_json(good))
            for body in BODIES:
                yield Call("inference", "POST", f"/v1/aliases/{self._adapter}/hostile/{change}", (JSON,), body)
            for name in (*good, "version", "more"):
                for value in HOSTILE_VALUES:
                    body = as_json(good | {name: value})
                    yield Call("inference", "POST", f"/v1/aliases/{self._adapter}/hostile/{change}", (JSON,), body)

    def _strangers(self) -> Iterator[Call]:
        changes = [route.format("x", "x") for route in ALIAS_CALLS]
        asked = [
            ("GET", path)
            for path in (CHAT, TEXT, *LISTS, *PAGES, *NOT_OPEN, "/v1/device", *(route.format("x") for route in ROUTES))
        ]
        asked += [("POST", path) for path in (CHAT, TEXT, "/v1/device/lease", *changes, *NOT_OPEN)]
        asked += [("DELETE", route.format("x")) for route in REMOVALS]
        for method, path in asked:
            for given in ("", "Bearer", "Bearer ", "Basic eDp4", "Bearer \x00", "Bearer " + "x" * 9000):
                yield Call("inference", method, path, (("Authorization", given),), b"{}", allowed=False)


def http_tricks(service: Service, path: str) -> Iterator[Call]:
    """HTTP that is wrong or unwelcome: of every service the same. path: one that a GET with the token reads."""
    for host in ("evil.example", "a b", "", "\x00", "[::1", "x" * 9000, "evil.example:99999999"):
        yield Call(service, "GET", path + "/", (("Host", host),), well_formed=False)
        yield Call(service, "GET", path, (("Host", host), ("X-Forwarded-Host", "evil.example")), well_formed=False)
    for headers in (
        [("X", "x" * 200_000)], [(f"X-{n}", "1") for n in range(3000)], [("X", "a\r\n b")], [("\x00", "1")], [("", "1")], [("X-Request-Id", "é\u202e")],
        [("Content-Length", "-1")], [("Content-Length", "9" * 30)], [("Content-Length", "1e3")], [("Content-Length", "5"), ("Content-Length", "6")],
        [("Transfer-Encoding", "x")], [("Transfer-Encoding", "chunked"), ("Content-Length", "4")], [("Expect", "100-continue")],
        [("traceparent", "00-" + "z" * 32 + "-00-01")], [("traceparent", "\x00" * 20)], [("Upgrade", "websocket"), ("Connection", "Upgrade")],
        [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")], [("Accept", "\xff"), ("Accept-Encoding", "x")], [("Cookie", "=;" * 9000)],
    ):  # fmt: skip
        for method in ("GET", "POST"):
            yield Call(service, method, path, headers, b"zz\r\n" if method == "POST" else b"", well_formed=False)
    for method in ("TRACE", "CONNECT", "PATCH", "OPTIONS", "HEAD", "X" * 3000, "get", "PROPFIND"):
        yield Call(service, method, path, well_formed=False)
    for target in (
        "*",
        "http://evil.example/",
        "//evil.example/x",
        "/%",
        "/\x00",
        "/" + "a/" * 20_000,
        "/v1/../../etc/passwd",
        "/?" + "&" * 50_000,
    ):
        yield Call(service, "GET", target, well_formed=False)
