#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# make test-recipes: what the manual says of other programs, with these programs.
# Those for backups take a snapshot and give it back byte for byte; those that read
# NBD are in tests/integration/nbd.py.  Prometheus and its node_exporter read metrics.
. "$(dirname "$0")/../integration/lib.sh"
requires varved varve jq qemu-img qemu-io restic borg promtool prometheus-node-exporter
start_varved
varve pool create vms "$dir/vms.pool" --size 512M >/dev/null
varve lun create vms/web01 --size 64M >/dev/null
varve host add h --iqn iqn.2008-11.org.linux-kvm --no-chap >/dev/null
web=$(lun_url vms/web01)
head -c 4M /dev/urandom >"$dir/noise"
lun_io "$web" "write -s $dir/noise 1M 4M" "write -P 7 40M 8M" flush >/dev/null
varve snap create vms/web01@mon >/dev/null
lun_io "$web" "write -P 9 2M 64k" "discard 40M 1M" flush >/dev/null
varve snap create vms/web01@tue >/dev/null

# whole SNAP: its image, by an initiator that is not ours
whole() {
    qemu-img convert -f raw -O raw "$(lun_url "vms/web01@$1" --ttl 1h)" "$dir/$1.raw"
    varve export remove "vms/web01@$1" --host h --force >/dev/null
}
whole mon
whole tue

export RESTIC_REPOSITORY=$dir/restic RESTIC_PASSWORD=test RESTIC_CACHE_DIR=$dir/cache
claim "restic has a repository" restic init -q
for day in mon tue; do
    claim "restic takes $day from a pipe" sh -c "
        '$BUILD/varve' snap read vms/web01@$day |
            restic backup -q --stdin --stdin-filename web01.img --tag $day"
    claim "and gives it back" sh -c "
        restic dump -q --tag $day latest web01.img | cmp - '$dir/$day.raw'"
done
claim "restic finds no fault" restic check -q --read-data

export BORG_REPO=$dir/borg BORG_PASSPHRASE=test BORG_BASE_DIR=$dir/borgbase
claim "borg has a repository" borg init -e repokey-blake2
for day in mon tue; do
    claim "borg takes $day from a pipe" sh -c "
        '$BUILD/varve' snap read vms/web01@$day |
            borg create --stdin-name web01.img ::$day -"
    claim "and gives it back" sh -c "
        borg extract --stdout ::$day web01.img | cmp - '$dir/$day.raw'"
done
claim "borg finds no fault" borg check --verify-data
# Prometheus: what it makes of our metrics, by the unit that docs/metrics.md says
examples=$top/docs/examples
varve policy create nightly --pool vms --at daily --keep last=2 >/dev/null
varve metrics >"$dir/metrics"
claim "promtool finds no fault in the metrics" sh -c "promtool check metrics <'$dir/metrics'"
cp "$examples/varve-alerts.yml" "$here/../recipes/alerts_test.yml" "$dir"
claim "nor in the alarms" promtool check rules "$dir/varve-alerts.yml"
claim "which alarm by what they should" promtool test rules "$dir/alerts_test.yml"
mkdir "$dir/textfile"
# the unit's command, as systemd reads it
sed -n '/^ExecStart=/,/[^\\]$/p' "$examples/varve-metrics.service" |
    sed 's/^ExecStart=//' >"$dir/unit.sh"
claim "the unit writes the file" env "PATH=$BUILD:$PATH" "DIRECTORY=$dir/textfile" \
    sh "$dir/unit.sh"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
prometheus-node-exporter --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory "$dir/textfile" --web.listen-address "127.0.0.1:$port" \
    2>"$dir/exporter.txt" &
exporter=$!
cleanup "kill $exporter; wait $exporter"
exported() {
    python3 - "$port" <<'END'
import sys, time, urllib.request
for _ in range(300):
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics").read().decode()
        break
    except OSError:
        time.sleep(0.1)
sys.exit(not ('varve_lun_size_bytes{lun="web01",pool="vms"} 6.7108864e+07' in text
              and "node_textfile_scrape_error 0" in text
              and "node_textfile_mtime_seconds" in text))
END
}
claim "and node_exporter serves what is in it" exported
finish
