#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Puts what comes from the tables into the manual pages: each block between
# "; begin PART" and "; end PART" becomes what `varve help --scdoc=PART` prints.
#
#   update.sh           rewrites the pages in place
#   update.sh PAGE      prints PAGE as it should be
set -eu
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${BUILD:-$here/../../build}

filled() {
    while IFS= read -r line; do
        case $line in
        "; begin "*)
            printf '%s\n' "$line"
            "$BUILD/varve" help --scdoc="${line#; begin }"
            skip=1 ;;
        "; end "*)
            skip= ;;
        esac
        [ -n "${skip:-}" ] || printf '%s\n' "$line"
    done <"$1"
}

if [ $# -gt 0 ]; then
    filled "$1"
    exit
fi
for page in "$here"/*.scd; do
    filled "$page" >"$page.new"
    mv "$page.new" "$page"
done
