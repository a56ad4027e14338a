#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The completion scripts in the shells themselves: bash always, zsh and fish
# where they are installed.  Names that varved knows are covered by
# first-steps.sh.
. "$(dirname "$0")/lib.sh"
requires varve bash
PATH=$BUILD:$PATH
mkdir "$dir/files"
touch "$dir/files/pool-a" "$dir/files/pool b"
cd "$dir/files" || exit 1

# What bash offers for a line, cursor at its end; one candidate a line.
bash_offers() {
    bash --norc --noprofile -c '
        complete_options=; compopt() { complete_options="$*"; }
        source <(varve completion bash)
        COMP_LINE=$1 COMP_POINT=${#1}
        _varve
        [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"
        echo "[$complete_options]"
    ' bash "$1"
}

claim_equal "bash: a noun" "$(bash_offers 'varve lu')" "lun
[]"
claim_equal "bash: a verb" "$(bash_offers 'varve lun cr')" "create
[]"
claim_equal "bash: an option" "$(bash_offers 'varve lun create --si')" "--size
[]"
claim_equal "bash: a value behind =" \
    "$(bash_offers 'varve host connect kvm1 --for=open')" "open-iscsi
[]"
claim_equal "bash: files, also with blanks" \
    "$(bash_offers 'varve pool create vms pool' | sort)" "[-o filenames]
pool b
pool-a"
claim_equal "bash: nothing for nonsense" "$(bash_offers 'varve frobnicate ')" "[]"

if command -v zsh >/dev/null; then
    varve completion zsh >"$dir/_varve"
    claim "zsh takes the script" zsh -n "$dir/_varve"
    # the words of the line go in, the arrays for _describe come out
    offers=$(zsh -f -c '
        compdef() { }; _files() { print files }
        _describe() { print -l ${(P)2} }; compadd() { print "${@[-1]}:" ${(P)@[-1]} }
        source "$1"
        words=(varve lun cr) CURRENT=3; _varve
        words=(varve pool create vms "") CURRENT=5; _varve
        words=(varve --connect "") CURRENT=3; _varve' zsh "$dir/_varve" 2>&1)
    claim_equal "zsh: a verb, files, a beginning" "$offers" "create:make a thin LUN
files
beginnings: unix:"
fi
if command -v fish >/dev/null; then
    varve completion fish >"$dir/varve.fish"
    claim "fish takes the script" fish --no-config -n "$dir/varve.fish"
    offers=$(HOME=$dir fish --no-config -c \
        "source $dir/varve.fish; complete -C 'varve lun cr'; complete -C 'varve lu'" 2>&1)
    claim_equal "fish: a verb and a noun" "$offers" "create	make a thin LUN
lun"
fi
finish
