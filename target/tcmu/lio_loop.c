/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks of this machine (tcm_loop).  Each has an address of its own, with one
 * TPG, one LUN 0 and a nexus: the address of the initiator that the kernel
 * plays.  That is ours with one bit turned, which also tells one of ours that
 * has lost its link, as we were killed, from somebody else's.
 */
#include "target/tcmu/lio_step.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAA_TEXT_MAX 24 /* "naa." and 16 digits */
#define NAA_NEXUS    0x80

struct naa_text {
	char text[NAA_TEXT_MAX];
};

static struct naa_text
naa_text(const uint8_t naa[8])
{
	struct naa_text ret;

	snprintf(ret.text, sizeof(ret.text),
	    "naa.%02x%02x%02x%02x%02x%02x%02x%02x", naa[0], naa[1], naa[2],
	    naa[3], naa[4], naa[5], naa[6], naa[7]);
	return ret;
}

static struct naa_text
nexus_text(const uint8_t naa[8])
{
	uint8_t nexus[8];

	memcpy(nexus, naa, 8);
	nexus[7] ^= NAA_NEXUS;
	return naa_text(nexus);
}

static struct lio_path
loop_tpg(const struct lio *lio, const char *name)
{
	return lio_path("%s/" LIO_LOOPBACK "/%s/tpgt_1", lio->configfs, name);
}

static const struct lio_loop *
loop_wanted(const struct lio_config *config, const char *name)
{
	for (unsigned i = 0; i < config->loop_count; i++)
		if (strcmp(naa_text(config->loops[i].naa).text, name) == 0)
			return &config->loops[i];
	return NULL;
}

static bool
nexus_is_ours(struct lio *lio, const char *name)
{
	struct lio_path path = lio_path("%s/nexus", loop_tpg(lio, name).text);
	char nexus[LIO_TEXT_MAX];
	uint8_t naa[8];
	int end = 0;

	sscanf(name, "naa.%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%n", &naa[0],
	    &naa[1], &naa[2], &naa[3], &naa[4], &naa[5], &naa[6], &naa[7],
	    &end);
	return end > 0 && name[end] == '\0' &&
	       lio_get(lio, path.text, nexus, sizeof(nexus)) == 0 &&
	       strcmp(nexus, nexus_text(naa).text) == 0;
}

static void
loop_remove(struct lio *lio, const char *name, const struct lio_ports *ports)
{
	struct lio_path tpg = loop_tpg(lio, name);
	struct lio_path dir =
	    lio_path("%s/" LIO_LOOPBACK "/%s", lio->configfs, name);

	for (unsigned i = 0; i < ports->count; i++)
		lio_port_remove(lio, tpg.text, &ports->ports[i]);
	if (lio_remove_dir(lio, tpg.text) == 0)
		lio_remove_dir(lio, dir.text);
}

/* LUN 0 with its device stays. */
static void
loop_trim(struct lio *lio, const char *name, const struct lio_loop *loop,
    const struct lio_ports *ports)
{
	for (unsigned i = 0; i < ports->count; i++)
		if (ports->ports[i].number != 0 ||
		    strcmp(ports->ports[i].device, loop->device) != 0)
			lio_port_remove(
			    lio, loop_tpg(lio, name).text, &ports->ports[i]);
}

static void
loop_prune(struct lio *lio, const struct lio_config *config, const char *name)
{
	const struct lio_loop *loop = loop_wanted(config, name);
	struct lio_ports ports;

	if (lio_ports_read(lio, loop_tpg(lio, name).text, &ports) < 0)
		return;
	if (ports.foreign[0] != '\0')
		; /* not ours: when it is in the way, loop_make says so */
	else if (loop != NULL)
		loop_trim(lio, name, loop, &ports);
	else if (nexus_is_ours(lio, name))
		loop_remove(lio, name, &ports);
	lio_ports_done(&ports);
}

void
lio_loops_prune(struct lio *lio, const struct lio_config *config)
{
	struct lio_path dir = lio_path("%s/" LIO_LOOPBACK, lio->configfs);
	struct lio_list list;

	if (lio_read_dir(lio, dir.text, &list) < 0)
		return;
	for (unsigned i = 0; i < list.count; i++)
		if (strncmp(list.entries[i].name, "naa.", 4) == 0)
			loop_prune(lio, config, list.entries[i].name);
	lio_list_done(&list);
}

/* A nexus is made before the link, as without one the disk that the link makes
 * would not answer, and goes before it can be another: an address that somebody
 * restored, and that exports nothing, is to be ours again. */
static int
nexus_make(
    struct lio *lio, const char *tpg, const struct lio_loop *loop, bool exports)
{
	struct lio_path path = lio_path("%s/nexus", tpg);
	struct naa_text ours = nexus_text(loop->naa);
	char now[LIO_TEXT_MAX];
	bool there =
	    lio_get(lio, path.text, now, sizeof(now)) == 0 && now[0] != '\0';

	if (there && (exports || strcmp(now, ours.text) == 0))
		return 0;
	if (there && lio_write(lio, path.text, "NULL") < 0)
		return -EIO;
	return lio_write(lio, path.text, ours.text);
}

static int
loop_check(struct lio *lio, const char *name, const struct lio_ports *ports)
{
	if (ports->foreign[0] == '\0')
		return 0;
	return lio_fail(lio, -EEXIST,
	    "disk %s exports %s, which is not varve's: it is left alone", name,
	    ports->foreign);
}

static void
loop_make(struct lio *lio, const struct lio_loop *loop)
{
	struct naa_text name = naa_text(loop->naa);
	struct lio_path tpg = loop_tpg(lio, name.text);
	struct lio_path dir =
	    lio_path("%s/" LIO_LOOPBACK "/%s", lio->configfs, name.text);
	struct lio_ports ports;

	if (!loop->served || lio_ports_read(lio, tpg.text, &ports) < 0)
		return;
	if (loop_check(lio, name.text, &ports) == 0 &&
	    lio_make_dir(lio, dir.text) == 0 &&
	    lio_make_dir(lio, tpg.text) == 0 &&
	    nexus_make(lio, tpg.text, loop, ports.count > 0) == 0 &&
	    lio_ports_find(&ports, loop->device) == NULL)
		lio_port_make(lio, tpg.text, 0, loop->device);
	lio_ports_done(&ports);
}

/* The SCSI address that the kernel gave it, without the LUN: "2:0:1". */
int
lio_loop_in_use(
    struct lio *lio, const uint8_t naa[8], char ret_disk[LIO_UIO_MAX])
{
	struct naa_text name = naa_text(naa);
	struct lio_path path =
	    lio_path("%s/address", loop_tpg(lio, name.text).text);
	char address[LIO_TEXT_MAX];
	struct lio_list list;

	ret_disk[0] = '\0';
	lio_begin(lio);
	if (lio_get(lio, path.text, address, sizeof(address)) < 0)
		return 0;
	path = lio_path("%s/bus/scsi/devices/%s:0/block", lio->sysfs, address);
	if (lio_read_dir(lio, path.text, &list) < 0 || list.count == 0)
		return 0;
	snprintf(ret_disk, LIO_UIO_MAX, "/dev/%.20s", list.entries[0].name);
	path = lio_path("%s/%s", lio->dev, list.entries[0].name);
	lio_list_done(&list);
	int ret = lio->files->try_open(lio->arg, path.text);
	/* what cannot be looked at may be mounted as well */
	return ret < 0 && ret != -ENOENT && ret != -ENXIO && ret != -ENODEV;
}

void
lio_loops_make(struct lio *lio, const struct lio_config *config)
{
	struct lio_path dir = lio_path("%s/" LIO_LOOPBACK, lio->configfs);

	if (config->loop_count == 0 ||
	    lio_make_with_module(lio, dir.text, "tcm_loop") < 0)
		return;
	for (unsigned i = 0; i < config->loop_count; i++)
		loop_make(lio, &config->loops[i]);
}
