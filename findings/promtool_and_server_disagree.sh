#!/usr/bin/env bash
# `promtool check metrics` passes a page that the Prometheus of the same package refuses whole, and
# the other way round, where both pages are valid.
#
# The text format (prometheus.io, "Exposition formats", version 0.0.4) says that leading and trailing
# whitespace of a line is ignored, and that tokens may be separated by blanks and tabs. An exporter's
# test that pipes its page through promtool is thought to say what a scrape will say. The two read it
# with parsers of their own:
#   - a blank before a sample: promtool says nothing and ends with 0; the server takes the blank as
#     part of the metric's name, and not the line but the whole target is down (no sample of the page
#     is stored, also of lines that are right);
#   - a tab after a value: promtool ends with 1 ("expected integer as timestamp"); the server stores it;
#   - a sample twice on a page, with other values (this one is not valid): promtool says nothing and
#     the server keeps the first, the target is up, and only its counter of duplicates tells.
# So only a real scrape holds an exporter; the checker is for names and help.
#
# Seen with prometheus 2.42.0+ds-5+deb12u1 of Debian 12 (promtool and server of one package).
# Needs apt with the sources of Debian 12; Python's own library serves the pages and asks, on loopback.
set -euo pipefail

VERSION=2.42.0+ds-5+deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq "prometheus=$VERSION" 2>&1 | grep -v '^W:.*_apt' || true
dpkg -x prometheus_*.deb package
export PATH=$folder/package/usr/bin:$PATH
prometheus --version 2>&1 | head -n 1

python3 - <<'PYTHON'
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

HEAD = "# HELP good Right in every page.\n# TYPE good gauge\ngood 1\n# HELP b One.\n# TYPE b gauge\n"
PAGES = {
    "plain": HEAD + "b 1\n",
    "leading": HEAD + " b 1\n",
    "trailing": HEAD + "b 1\t\n",
    "twice": HEAD + "b 1\nb 2\n",
}
EXPECTED = {  # promtool's exit code, the target's health, what is stored of it
    "plain": (0, "up", {"good": "1", "b": "1"}),
    "leading": (0, "down", {}),
    "trailing": (1, "up", {"good": "1", "b": "1"}),
    "twice": (0, "up", {"good": "1", "b": "1"}),
}


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGES[self.path[1:]].encode())

    def log_message(self, *told: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    api = f"127.0.0.1:{free.getsockname()[1]}"
with open("prometheus.yml", "w") as file:
    file.write("global: {scrape_interval: 1s}\nscrape_configs:\n")
    for page in PAGES:
        file.write(f"- job_name: {page}\n  metrics_path: /{page}\n")
        file.write(f"  static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]\n")


def ask(path: str) -> dict:
    with urllib.request.urlopen(f"http://{api}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def stored(page: str) -> dict[str, str]:
    query = urllib.parse.quote(f'{{job="{page}", __name__=~"good|b"}}')
    found = ask(f"query?query={query}")["result"]
    return {sample["metric"]["__name__"]: sample["value"][1] for sample in found}


prometheus = subprocess.Popen(
    ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
     f"--web.listen-address={api}", "--log.level=error"]
)
try:
    targets: dict[str, dict] = {}
    end = time.monotonic() + 120
    while len(targets) < len(PAGES) or any(t["health"] == "unknown" for t in targets.values()):
        if time.monotonic() > end:
            sys.exit("Prometheus has not scraped every page within two minutes")
        time.sleep(0.5)
        try:
            active = ask("targets")["activeTargets"]
        except OSError:
            continue
        targets = {target["labels"]["job"]: target for target in active}
    changed = False
    for page, text in PAGES.items():
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True
        )
        seen = (checked.returncode, targets[page]["health"], stored(page))
        said = (checked.stderr + checked.stdout).strip() or "nothing"
        print(f"{page:9} promtool {seen[0]}: {said}")
        print(f"{'':9} server {seen[1]}, stored {seen[2]} {targets[page]['lastError']}")
        changed |= seen != EXPECTED[page]
finally:
    prometheus.terminate()
    prometheus.wait()
sys.exit("that is not what was seen before" if changed else 0)
PYTHON
