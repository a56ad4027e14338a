/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An initiator for stories, over libiscsi: logs in once, then sends what stands
 * on its standard input, a command a line, and prints what came of it.
 *
 *	initiator URL NAME QUALIFIER
 *
 *	CDB                     all in hex: no data
 *	CDB out BYTES           Data-Out
 *	CDB in LENGTH           up to LENGTH bytes of Data-In
 *
 *	good [BYTES]            what came in
 *	check KEY ASC ASCQ      sense data, in hex
 *	conflict                RESERVATION CONFLICT
 *	status NUMBER           another status, in hex
 *	lost                    no answer: the session is gone; then it ends
 *
 * QUALIFIER makes the ISID: who comes back with the same is the same port.
 * With r before it the ISID is of the random kind, as QEMU's.
 */
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUI      0x0040eu
#define LINE_MAX 65536
#define DATA_MAX (LINE_MAX / 2)

static size_t
hex(const char *text, unsigned char *to)
{
	size_t count = 0;
	unsigned byte;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2)
		to[count++] = (unsigned char)byte;
	return count;
}

static void
print_data(const struct scsi_task *task)
{
	printf("good");
	if (task->datain.size > 0)
		printf(" ");
	for (int i = 0; i < task->datain.size; i++)
		printf("%02x", task->datain.data[i]);
	printf("\n");
}

static void
print_outcome(const struct scsi_task *task)
{
	if (task->status == SCSI_STATUS_GOOD)
		print_data(task);
	else if (task->status == SCSI_STATUS_CHECK_CONDITION)
		printf("check %x %02x %02x\n", (unsigned)task->sense.key,
		    (unsigned)task->sense.ascq >> 8,
		    (unsigned)task->sense.ascq & 0xff);
	else if (task->status == SCSI_STATUS_RESERVATION_CONFLICT)
		printf("conflict\n");
	else
		printf("status %02x\n", (unsigned)task->status);
}

static struct scsi_task *
task_of(char *line, struct iscsi_data *out)
{
	static unsigned char cdb[16], data[DATA_MAX];
	const char *text = strtok(line, " \n");
	const char *way = strtok(NULL, " \n"), *rest = strtok(NULL, " \n");
	int direction = SCSI_XFER_NONE, length = 0;

	if (text == NULL || strlen(text) > 2 * sizeof(cdb))
		return NULL;
	memset(cdb, 0, sizeof(cdb));
	out->size = 0;
	if (way != NULL && rest != NULL && strcmp(way, "out") == 0) {
		out->data = data;
		out->size = hex(rest, data);
		direction = SCSI_XFER_WRITE;
		length = (int)out->size;
	} else if (way != NULL && rest != NULL) {
		direction = SCSI_XFER_READ;
		length = atoi(rest);
	}
	return scsi_create_task((int)hex(text, cdb), cdb, direction, length);
}

static bool
serve(struct iscsi_context *iscsi, int lun, char *line)
{
	struct iscsi_data out = {.size = 0};
	struct scsi_task *task = task_of(line, &out);
	bool answered;

	if (task == NULL)
		return false;
	answered = iscsi_scsi_command_sync(
		       iscsi, lun, task, out.size > 0 ? &out : NULL) != NULL &&
		   task->status != SCSI_STATUS_ERROR &&
		   task->status != SCSI_STATUS_CANCELLED &&
		   task->status != SCSI_STATUS_TIMEOUT;
	if (answered)
		print_outcome(task);
	scsi_free_scsi_task(task);
	return answered;
}

/* The unit attentions of a new nexus are taken; a unit that is not ready then
 * is no less connected, which a full connect of the library would not have. */
static bool
log_in(struct iscsi_context *iscsi, const struct iscsi_url *url)
{
	bool attention = true;

	if (iscsi_connect_sync(iscsi, url->portal) != 0 ||
	    iscsi_login_sync(iscsi) != 0)
		return false;
	for (int i = 0; i < 8 && attention; i++) {
		struct scsi_task *task =
		    iscsi_testunitready_sync(iscsi, url->lun);
		if (task == NULL)
			return false;
		attention = task->status == SCSI_STATUS_CHECK_CONDITION &&
			    task->sense.key == SCSI_SENSE_UNIT_ATTENTION;
		scsi_free_scsi_task(task);
	}
	return true;
}

int
main(int argc, char **argv)
{
	static char line[LINE_MAX];
	struct iscsi_context *iscsi;
	struct iscsi_url *url;

	if (argc != 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	iscsi = iscsi_create_context(argv[2]);
	url = iscsi != NULL ? iscsi_parse_full_url(iscsi, argv[1]) : NULL;
	if (url == NULL)
		return 2;
	iscsi_set_targetname(iscsi, url->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(iscsi, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	if (argv[3][0] == 'r')
		iscsi_set_isid_random(iscsi, (uint32_t)atoi(argv[3] + 1), 0);
	else
		iscsi_set_isid_oui(iscsi, OUI, (uint32_t)atoi(argv[3]));
	iscsi_set_noautoreconnect(iscsi, 1);
	iscsi_set_timeout(iscsi, 20);
	if (!log_in(iscsi, url)) {
		printf("lost\n");
		return 1;
	}
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (!serve(iscsi, url->lun, line)) {
			printf("lost\n");
			return 1;
		}
	}
	iscsi_logout_sync(iscsi);
	iscsi_destroy_url(url);
	iscsi_destroy_context(iscsi);
	return 0;
}
