#!/usr/bin/env bash
# Debian's Prometheus refuses a configuration that the same release of upstream's takes, as if it were
# misspelt: it is built without discovery of Kubernetes' pods and nodes, of Consul, Nomad and Linode.
#
# Prometheus is known as Kubernetes' own monitoring, and its version is a complete statement of what
# its configuration may hold. Not so in Debian: "field kubernetes_sd_configs not found in type
# config.ScrapeConfig" is what it says of `- role: pod`, word by word what it says of a slip of the
# pen. Docker, EC2, GCE, Azure, Hetzner, OpenStack, DNS and HTTP are in, so the lack cannot be guessed
# from what seems dear to build. `--version` names a suffix `+ds` and nothing else, and the server
# and promtool agree, so that a check in a Debian based CI fails for a file that is right. The
# package's NEWS.Debian tells of Kubernetes, and of none of the others.
#
# Seen with prometheus 2.42.0+ds-5+deb12u1 of Debian 12. Needs apt with the sources of Debian 12.
set -euo pipefail

VERSION=2.42.0+ds-5+deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq "prometheus=$VERSION" 2>&1 | grep -v '^W:.*_apt' || true
dpkg -x prometheus_*.deb package
export PATH=$folder/package/usr/bin:$PATH
promtool --version 2>&1 | head -n 1

asked() { # KEY VALUE: what promtool says of a job that finds its targets so
    printf 'scrape_configs:\n  - job_name: one\n    %s: [%s]\n' "$1" "$2" > config.yml
    promtool check config --syntax-only config.yml 2>&1 || true
}

expect() { # KEY VALUE WORDS
    local said
    said=$(asked "$1" "$2")
    if ! grep -q "$3" <<< "$said"; then
        echo "CHANGED: of $1 it says: $said"
        exit 1
    fi
    echo "$1: $3"
}

expect kubernetes_sd_configs '{role: pod}' 'field kubernetes_sd_configs not found'
expect consul_sd_configs '{server: "localhost:8500"}' 'field consul_sd_configs not found'
expect nomad_sd_configs '{server: "http://localhost:4646"}' 'field nomad_sd_configs not found'
expect kubernets_sd_configs '{role: pod}' 'field kubernets_sd_configs not found'
expect docker_sd_configs '{host: "unix:///run/docker.sock"}' SUCCESS
expect ec2_sd_configs '{region: eu-west-1}' SUCCESS
expect http_sd_configs '{url: "http://127.0.0.1/targets"}' SUCCESS
echo "as described: what is built out is told as what is misspelt"
