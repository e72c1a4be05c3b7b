#!/bin/sh
# Gets the programs that pip cannot: those on the PATH first, the rest from Debian's or Ubuntu's packages.
# Usage: install-programs.sh [prometheus] [promtool] [alertmanager] [amtool] [jsonnetfmt] [venv]; all if none is named.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

package_of() { # the package that has a program; nothing if the program is here
    case "$1" in
    prometheus | promtool) have "$1" || echo prometheus ;;
    alertmanager) have prometheus-alertmanager || have alertmanager || echo prometheus-alertmanager ;;
    amtool) have amtool || echo prometheus-alertmanager ;;
    jsonnetfmt) have jsonnetfmt || echo jsonnet ;;
    venv) python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv ;;
    *) echo "install-programs.sh: no such program: $1" >&2 && exit 2 ;;
    esac
}

[ $# -gt 0 ] || set -- prometheus promtool alertmanager amtool jsonnetfmt venv
packages=$(for program in "$@"; do package_of "$program" || exit 2; done | sort -u | tr '\n' ' ')
[ -n "$packages" ] || exit 0

if ! have apt-get; then
    echo "Missing here: $packages(names as in Debian). Put the programs on the PATH; releases are at" \
        "prometheus.io/download and github.com/google/go-jsonnet/releases." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "Missing here. Install with: sudo apt-get install $packages" >&2
    exit 1
fi

echo "Installing from this machine's package archive: $packages"
# Debian starts what it installs. Nothing is to run unasked; a policy that is there already is the administrator's.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086
if { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    rm -f "$log"
else
    tail -n 20 "$log" >&2
    echo "install-programs.sh: apt-get failed; its output is in $log" >&2
    exit 1
fi
