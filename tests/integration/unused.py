#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve export remove --unused: a LUN goes away under sessions that use another one
alone, and under no others.  An initiator that logs in once for each disk is libiscsi;
that a kernel's session has all LUNs is covered by the name of its session (ISID) only.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, claim_equal, main
from initiators import Initiator
from varved import Failed

IQN = "iqn.2026-01.x:host"


def refused(varved, text, *arguments):
    try:
        varved.varve("export", "remove", "vms/b", "--host", "h", *arguments)
        claim(text, False)
    except Failed as failed:
        claim(text, failed.status == 5 and "lun.in-use" in failed.text, failed.text)


def used(varved):
    return [s["used_lun"] for s in varved.varve("session", "list")["items"]]


def story(directory, varved):
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
    varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
    url_a = varved.lun("vms/a", "16M", "h")
    url_b = varved.lun("vms/b", "16M", "h")
    varved.first_portal = None
    a = Initiator(url_a, IQN, "r1")
    claim_equal("a session that has only looked has used nothing", used(varved), [None])
    refused(varved, "it may be about to use any LUN", "--unused")
    a.read()
    claim_equal("one that has read has used that", used(varved), [0])
    refused(varved, "as ever without --unused")
    varved.varve("export", "remove", "vms/b", "--host", "h", "--unused")
    claim("with it the LUN that it does not use goes", True)
    claim_equal("its host hears that there are others", a.hear(), "check 6 3f 0e")
    claim_equal("and what it uses stays", a.read(), "good")
    varved.varve("export", "add", "vms/b", "--host", "h", "--lun", "1")
    b = Initiator(url_b, IQN, "r2")
    b.read()
    refused(varved, "not while another session uses it", "--unused")
    b.end()
    kernel = Initiator(url_a, IQN, 3)
    kernel.read()
    claim_equal("a session by a name as a kernel's", used(varved), [0, 0])
    refused(varved, "has all LUNs, whatever it has used", "--unused")
    kernel.end()
    a.end()
    varved.kill()
    varved.start()
    a = Initiator(url_a, IQN, "r1")
    refused(varved, "after a restart it may use any again", "--unused")
    a.end()


main(story)
