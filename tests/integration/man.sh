#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The manual pages say what the program does: the parts made from the tables are
# those of this build, the pages are valid, and the example configuration and
# the page about it have the same keys.  What the prose says is not covered.
. "$(dirname "$0")/lib.sh"
requires varve varved scdoc

for page in "$top"/docs/man/*.scd; do
    name=$(basename "$page" .scd)
    "$top/docs/man/update.sh" "$page" >"$dir/page"
    claim "$name is as docs/man/update.sh makes it" diff "$page" "$dir/page"
    claim "$name is valid scdoc" sh -c "scdoc <'$page' >/dev/null"
done

keys_of_example() {
    sed -n 's/^#\([A-Za-z_]*\) = .*/\1/p' "$top/packaging/varve.conf" | sort
}
keys_of_program() {
    sed -n 's/^\t{ "[a-z]*", *"\([A-Za-z_]*\)", *KIND_.*/\1/p' \
        "$top/target/config.c" | sort
}
sed 's/\\_/_/g' "$top/docs/man/varve.conf.5.scd" >"$dir/conf.5"
for key in $(keys_of_program); do
    claim "varve.conf(5) has $key" grep -qF "*$key*" "$dir/conf.5"
done
claim_equal "the example has the program's keys" \
    "$(keys_of_example)" "$(keys_of_program)"
sed 's/^#\([A-Za-z_]* = \)/\1/' "$top/packaging/varve.conf" >"$dir/all.conf"
claim "the example's values are good" \
    "$BUILD/varved" --config "$dir/all.conf" --check-config
claim "no key of it is a comment still" sh -c "! grep -q '^#[A-Za-z_]* = ' '$dir/all.conf'"
finish
