#!/usr/bin/env bash
# Sets a Debian 12 machine up: Debian packages, the virtual environment, the compiled iterators.
#
#   deploy/setup.sh          what the console and the lab need
#   deploy/setup.sh dev      also what tests, checks and benchmarks need
#
# Everything is skipped that is already there, so that a second run takes a moment and no network.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-run}
python=/usr/bin/python3
step() { printf '\033[1m[%s]\033[0m %s\n' "$1" "$2" >&2; }
fail() { printf 'setup: %s\n' "$1" >&2; exit 3; }

packages=(python3 python3-venv python3-bpfcc clang libbpf1 libbpf-dev libelf1 iproute2)
[ "$mode" = dev ] && packages+=(bpftool clang-format nginx-light openssl prometheus systemd tmux git ca-certificates)
# A browser for the tests of `ctconsole serve`; any Chromium does.
[ "$mode" != dev ] || command -v chromium >/dev/null || packages+=(chromium-headless-shell)
extras='.'
[ "$mode" = dev ] && extras='.[dev]'

missing=()
for package in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
		missing+=("$package")
done
# The running kernel's headers serve best; any others compile the tc programs as well.
if ! compgen -G '/lib/modules/*/build/include/linux' >/dev/null &&
	! compgen -G '/usr/src/linux-headers-*/include/generated' >/dev/null; then
	missing+=("linux-headers-$(dpkg --print-architecture)")
fi

if [ ${#missing[@]} -gt 0 ]; then
	step 1/3 "Debian packages: ${missing[*]}"
	[ "$(id -u)" = 0 ] || fail "installing Debian packages needs root: apt-get install ${missing[*]}"
	# A package that brings a service must not start it on this machine.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	mkdir -p build
	export DEBIAN_FRONTEND=noninteractive
	if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
		>build/apt.log 2>&1; then
		tail -n 20 build/apt.log >&2
		fail "apt-get failed; the whole log is in build/apt.log"
	fi
	if [ -n "$(trap -p EXIT)" ]; then
		rm -f "$policy"
		trap - EXIT
	fi
else
	step 1/3 'Debian packages: all there'
fi

wanted="$mode $(cat pyproject.toml deploy/constraints.txt deploy/build_iterators.py | sha256sum)"
stamp=.venv/.ctconsole-setup
# A development environment serves to run as well.
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] ||
	[ "$(cat "$stamp" 2>/dev/null)" = "dev${wanted#run}" ]; then
	step 2/3 'virtual environment: up to date'
else
	step 2/3 "virtual environment .venv with $extras"
	mkdir -p build
	[ -x .venv/bin/python ] || "$python" -m venv .venv
	if ! PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet \
		-c deploy/constraints.txt -e "$extras" >build/pip.log 2>&1; then
		tail -n 20 build/pip.log >&2
		fail "pip failed; the whole log is in build/pip.log"
	fi
	printf '%s\n' "$wanted" >"$stamp"
fi

step 3/3 'map iterators'
.venv/bin/python deploy/build_iterators.py
