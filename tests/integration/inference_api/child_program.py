"""Stands in vLLM's place for the supervisor: an HTTP server with children of its own, which crashes or hangs when told to.

Usage: child_program.py SOCKET MODE; MODE is well, slow, refuse or never. GET /exit and /hang do what they say, /ill makes
/health 503, /nonsense every completion's log-probability NaN,
as vLLM answers then. It ignores SIGTERM when MODE is stubborn. Writes its own and its child's process id to its log.
"""

import http.server
import os
import signal
import socketserver
import subprocess
import sys
import time

SOCKET, MODE = sys.argv[1:]
state = {"ill": False, "hang": False, "nonsense": False}


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/exit":
            os._exit(3)
        state["ill"] |= self.path == "/ill"
        state["hang"] |= self.path == "/hang"
        state["nonsense"] |= self.path == "/nonsense"
        if state["hang"] and self.path == "/health":
            time.sleep(600)
        self.send_response(503 if state["ill"] and self.path == "/health" else 200)
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if state["nonsense"] else 200)
        self.end_headers()
        good = b'{"choices": [{"text": "", "logprobs": {"token_logprobs": [-0.5]}}]}'
        self.wfile.write(b"Out of range float values are not JSON compliant" if state["nonsense"] else good)

    def log_message(self, *args: object) -> None:
        """Quiet: the log is for what the tests look for."""


grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("pids", os.getpid(), grandchild.pid, flush=True)
if MODE == "refuse":
    sys.exit("ValueError: this model cannot be served")
if MODE == "never":
    time.sleep(600)
if MODE == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Server(SOCKET, Handler).serve_forever()
