"""Stands in vLLM's place for the supervisor: an HTTP server with children of its own, which crashes or hangs when told to.

Usage: child_program.py PORT MODE; MODE is well, slow, refuse or never. GET /exit and /hang do what they say, /ill makes
/health 503. It ignores SIGTERM when MODE is stubborn. Writes its own and its child's process id to its log.
"""

import http.server
import os
import signal
import subprocess
import sys
import time

PORT, MODE = int(sys.argv[1]), sys.argv[2]
state = {"ill": False, "hang": False}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/exit":
            os._exit(3)
        state["ill"] |= self.path == "/ill"
        state["hang"] |= self.path == "/hang"
        if state["hang"] and self.path == "/health":
            time.sleep(600)
        self.send_response(503 if state["ill"] and self.path == "/health" else 200)
        self.end_headers()

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
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
