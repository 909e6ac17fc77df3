#!/bin/sh
# Resolves each set of packages in an empty environment and writes exact versions, names only.
set -eu
python=${1:-python3}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

lock() { # name, what to install
    "$python" -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2" 'setuptools>=77'
    {
        echo "# Exact versions for \`make $1\`; written by \`make lock\`."
        "$work/$1/bin/python" -m pip freeze --disable-pip-version-check --all --exclude realtime-features --exclude pip
    } | sed 's/ @ .*//' >"$here/$1.lock"
}

lock serve "$here/.."
lock test "$here/..[test]"
lock bench "$here/..[bench]"
