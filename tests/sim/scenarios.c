/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is simulated, one row each.  Sizes are as small as the format allows,
 * so that every corner is met often: 64 MiB pools, a log of 8 MiB.
 */
#include "tests/sim/sim.h"
#include <string.h>

/* clang-format off */
const struct scenario scenarios[] = {
{
	.name = "single", .what = "one LUN, every kind of I/O",
	.devices = 1, .device_bytes = 64 * MiB,
	.volumes = 1, .volume_bytes = 32 * MiB,
	.depth = 16, .fua_percent = 10, .cut_ticks = 120,
	.work = {30, 25, 8, 8, 12, 4, 8, 6, 2},
	.control_permille = 2, .control = {[CONTROL_CHECKPOINT] = 3, [CONTROL_REOPEN] = 1},
	.cuts_per_seed = 25, .seeds = 130,
},
{
	.name = "plp", .what = "a disk without volatile cache",
	.devices = 1, .device_bytes = 64 * MiB, .plp = true,
	.volumes = 2, .volume_bytes = 32 * MiB,
	.depth = 16, .fua_percent = 20, .cut_ticks = 120,
	.work = {30, 25, 8, 8, 12, 4, 8, 6, 2},
	.control_permille = 2, .control = {[CONTROL_CHECKPOINT] = 3, [CONTROL_REOPEN] = 1},
	.cuts_per_seed = 25, .seeds = 60,
},
{
	.name = "multi", .what = "several LUNs that come and go",
	.devices = 1, .device_bytes = 80 * MiB, .late_permille = 10,
	.volumes = 4, .volume_bytes = 20 * MiB,
	.depth = 24, .fua_percent = 10, .cut_ticks = 160,
	.work = {30, 20, 8, 8, 12, 4, 8, 6, 2},
	.control_permille = 12,
	.control = {[CONTROL_CHECKPOINT] = 2, [CONTROL_CREATE] = 6, [CONTROL_DELETE] = 6,
		    [CONTROL_RENAME] = 3, [CONTROL_ENLARGE] = 2, [CONTROL_SHRINK] = 2, [CONTROL_REOPEN] = 1},
	.cuts_per_seed = 25, .seeds = 120,
},
{
	.name = "devices", .what = "three devices, a fourth joins",
	.devices = 3, .devices_later = 1, .device_bytes = 48 * MiB, .late_permille = 10,
	.volumes = 2, .volume_bytes = 32 * MiB,
	.depth = 24, .fua_percent = 10, .cut_ticks = 100,
	.work = {30, 20, 8, 8, 12, 4, 8, 6, 2},
	.control_permille = 4,
	.control = {[CONTROL_CHECKPOINT] = 3, [CONTROL_ADD_DEVICE] = 2, [CONTROL_CREATE] = 1, [CONTROL_REOPEN] = 1},
	.cuts_per_seed = 25, .seeds = 70,
},
{
	.name = "full", .what = "LUNs that promise more than the pool has",
	.devices = 1, .device_bytes = 64 * MiB,
	.volumes = 2, .volume_bytes = 64 * MiB,
	.depth = 32, .fua_percent = 5, .cut_ticks = 1500, .spread = true, .may_fill = true,
	.work = {60, 10, 20, 5, 4, 1, 4, 4, 1},
	.control_permille = 1,
	.control = {[CONTROL_CHECKPOINT] = 4, [CONTROL_DELETE] = 1, [CONTROL_CREATE] = 1, [CONTROL_REOPEN] = 1},
	.cuts_per_seed = 12, .seeds = 16,
},
{
	.name = "churn", .what = "hardly any space left: what is freed is used again",
	.devices = 1, .device_bytes = 64 * MiB, .leave_bytes = 2 * MiB, .late_permille = 40,
	.volumes = 2, .volume_bytes = 16 * MiB,
	.depth = 24, .fua_percent = 5, .cut_ticks = 250, .spread = true, .may_fill = true,
	.work = {30, 10, 20, 10, 40, 2, 8, 25, 1},
	.control_permille = 1, .control = {[CONTROL_CHECKPOINT] = 2, [CONTROL_DELETE] = 1, [CONTROL_CREATE] = 1},
	.cuts_per_seed = 25, .seeds = 40,
},
{
	.name = "wrap", .what = "the log goes round, with large commits",
	.devices = 1, .device_bytes = 64 * MiB, .dirty_bytes = 64 * MiB,
	.volumes = 2, .volume_bytes = 24 * MiB,
	.depth = 32, .fua_percent = 60, .cut_ticks = 6000,
	.work = {40, 10, 10, 0, 30, 0, 10, 0, 0},
	.cuts_per_seed = 6, .seeds = 20,
},
{
	.name = "cache", .what = "a metadata cache of a few pages",
	.devices = 1, .device_bytes = 128 * MiB, .cache_bytes = 64 * KiB, .dirty_bytes = 64 * KiB,
	.volumes = 4, .volume_bytes = 2048 * MiB,
	.depth = 32, .fua_percent = 5, .cut_ticks = 200, .spread = true,
	.work = {40, 15, 5, 5, 10, 2, 8, 15, 1},
	.control_permille = 3, .control = {[CONTROL_CHECKPOINT] = 1, [CONTROL_DELETE] = 1, [CONTROL_CREATE] = 1},
	.cuts_per_seed = 15, .seeds = 40,
},
{
	.name = "deletion", .what = "power goes while deletions run in the background",
	.devices = 1, .device_bytes = 96 * MiB,
	.volumes = 4, .volume_bytes = 200 * MiB,
	.depth = 24, .fua_percent = 5, .cut_ticks = 100, .spread = true,
	.work = {40, 5, 10, 10, 5, 0, 4, 2, 0},
	.control_permille = 40, .control = {[CONTROL_CREATE] = 10, [CONTROL_DELETE] = 10, [CONTROL_CHECKPOINT] = 1},
	.cuts_per_seed = 25, .seeds = 90,
},
{
	.name = "resize", .what = "LUNs grow and shrink all the time",
	.devices = 1, .device_bytes = 64 * MiB,
	.volumes = 2, .volume_bytes = 18 * MiB,
	.depth = 8, .fua_percent = 10, .cut_ticks = 80,
	.work = {30, 20, 8, 8, 6, 4, 6, 10, 4},
	.control_permille = 60, .control = {[CONTROL_ENLARGE] = 6, [CONTROL_SHRINK] = 6, [CONTROL_CHECKPOINT] = 1},
	.cuts_per_seed = 25, .seeds = 80,
},
{
	.name = "kill", .what = "the process is killed; what it has acknowledged stays",
	.devices = 2, .device_bytes = 64 * MiB, .kill_percent = 85, .late_permille = 10,
	.volumes = 3, .volume_bytes = 32 * MiB,
	.depth = 24, .fua_percent = 2, .cut_ticks = 120,
	.work = {30, 25, 8, 8, 20, 4, 2, 6, 2},
	.control_permille = 6,
	.control = {[CONTROL_CHECKPOINT] = 2, [CONTROL_CREATE] = 1, [CONTROL_DELETE] = 1, [CONTROL_ENLARGE] = 1,
		    [CONTROL_SHRINK] = 1, [CONTROL_REOPEN] = 1},
	.cuts_per_seed = 25, .seeds = 60,
},
{
	.name = "errors", .what = "the disk fails now and then (EIO)",
	.devices = 2, .device_bytes = 64 * MiB, .fault = FAULT_EIO,
	.volumes = 2, .volume_bytes = 32 * MiB,
	.depth = 16, .fua_percent = 10, .cut_ticks = 300,
	.work = {30, 20, 8, 8, 10, 4, 8, 10, 2},
	.control_permille = 4, .control = {[CONTROL_CHECKPOINT] = 2, [CONTROL_CREATE] = 1, [CONTROL_DELETE] = 1},
	.cuts_per_seed = 20, .seeds = 40,
},
{
	.name = "hostfull", .what = "the host's file system has no room (ENOSPC)",
	.devices = 1, .device_bytes = 64 * MiB, .fault = FAULT_HOST_FULL,
	.volumes = 2, .volume_bytes = 32 * MiB,
	.depth = 16, .fua_percent = 10, .cut_ticks = 300,
	.work = {30, 20, 8, 8, 10, 4, 8, 10, 2},
	.control_permille = 2, .control = {[CONTROL_CHECKPOINT] = 2},
	.cuts_per_seed = 20, .seeds = 40,
},
{
	.name = "directed", .what = "what the directed tests start from; no seeds of its own",
	.devices = 1, .device_bytes = 64 * MiB, .device_block = 512, .leave_bytes = 2 * MiB, .may_fill = true,
	.volumes = 1, .volume_bytes = 16 * MiB, .depth = 1, .work = {1}, .cut_ticks = 1,
},
{.name = NULL},
};
/* clang-format on */

const struct scenario *
scenario_find(const char *name)
{
	for (const struct scenario *s = scenarios; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}
