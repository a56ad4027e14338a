/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/scsi/support/pair.h"
#include "backstores/stores.h"
#include <stdlib.h>

struct pair *
pair_open(uint32_t block_size)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	struct lun_params params = {.serial = "other", .write_cache = true};
	const uint8_t uuid[16] = {9, 9, 9};
	struct backstore *mem;

	rig_open(&pair->rig, &(struct rig_params){.block_size = 512});
	assert_int_equal(
	    bs_mem_new(pair->rig.loop, 16 << 20, block_size, &mem), 0);
	pair->spy = spy_new(mem);
	params.bs = &pair->spy->bs;
	params.manager = pair->rig.manager;
	lun_naa_from_uuid(uuid, params.naa);
	assert_int_equal(lun_new(&params, &pair->lun), 0);
	assert_int_equal(
	    scsi_nexus_map(pair->rig.nexus[0], 1, pair->lun, false, false), 0);
	pair->rig.nexus[0]->mappings[1]->attentions = 0;
	return pair;
}

static void
pair_done(void *arg)
{
	*(bool *)arg = true;
}

void
pair_close(struct pair *pair)
{
	struct scsi_nexus *nexus = pair->rig.nexus[0];
	bool gone[2] = {0};

	spy_release_all(pair->spy);
	if (nexus->mappings[1] != NULL)
		scsi_nexus_unmap(nexus, 1, false, NULL, NULL);
	rig_drain(&pair->rig);
	lun_free(pair->lun, pair_done, &gone[0]);
	rig_drain(&pair->rig);
	assert_true(gone[0]);
	bs_close(&pair->spy->bs, pair_done, &gone[1]);
	rig_drain(&pair->rig);
	assert_true(gone[1]);
	rig_close(&pair->rig);
	free(pair);
}

int
pair_setup_512(void **state)
{
	*state = pair_open(512);
	return 0;
}

int
pair_setup_4096(void **state)
{
	*state = pair_open(4096);
	return 0;
}

int
pair_teardown(void **state)
{
	pair_close(*state);
	return 0;
}
