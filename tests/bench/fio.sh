#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Debian's fio is built without its libiscsi engine: build the same version,
# with it, from Debian's source package.  Prints the path of the program.
set -eu
cd "$(dirname "$0")/../.."
fio=$PWD/build/deps/src/fio/fio
if ! [ -x "$fio" ] || ! "$fio" --enghelp | grep -q libiscsi; then
    {
        tests/deps.sh source fio
        cd build/deps/src/fio
        ./configure --enable-libiscsi --disable-native \
            --disable-rados --disable-rbd --disable-http --disable-gfapi \
            --disable-rdma --disable-pmem
        make -j"$(nproc)" fio
    } >&2
fi
echo "$fio"
