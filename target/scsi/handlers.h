/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rows of opcodes.def name: a check reads the CDB when the command
 * begins; run works and ends the task; answer builds Data-In from what is
 * known already.
 */
#ifndef TARGET_SCSI_HANDLERS_H
#define TARGET_SCSI_HANDLERS_H

#include "target/scsi/internal.h"

CHECK(inquiry_check);
ANSWER(inquiry_answer);
ANSWER(vpd_answer); /* inquiry_answer's, for EVPD */
size_t vpd_third_party_copy(const struct scsi_task *task, uint8_t *body);
bool vpd_page_exists(const struct lun *lun, uint8_t page);

RUN(spc_test_unit_ready);
RUN(spc_prevent_allow);
ANSWER(spc_request_sense);

RUN(reserve_take);
RUN(reserve_release);

CHECK(pr_read_keys_check);
ANSWER(pr_read_keys);
ANSWER(pr_read_reservation);
ANSWER(pr_report_capabilities);
CHECK(pr_read_full_status_check);
ANSWER(pr_read_full_status);
CHECK(pr_out_check);
RUN(pr_out);

CHECK(mode_sense_check);
ANSWER(mode_sense);
CHECK(mode_select_check);
RUN(mode_select);

CHECK(diagnostic_send_check);
RUN(diagnostic_send);
ANSWER(diagnostic_receive);

CHECK(buffer_read_check);
ANSWER(buffer_read);
CHECK(buffer_write_check);
RUN(buffer_write);

CHECK(log_sense_check);
ANSWER(log_sense);

CHECK(alua_report_check);
ANSWER(alua_report);
CHECK(alua_set_check);
RUN(alua_set);

CHECK(report_luns_check);
ANSWER(report_luns);
ANSWER(report_operation_codes);
CHECK(report_tmf_check);
ANSWER(report_tmf);

CHECK(sbc_range_check);
CHECK(sbc_read_check);
RUN(sbc_read);
CHECK(sbc_write_check);
RUN(sbc_write);
RUN(sbc_pre_fetch);
RUN(sbc_synchronize_cache);

RUN(sbc_start_stop);
ANSWER(sbc_read_capacity_10);
ANSWER(sbc_read_capacity_16);
ANSWER(sbc_read_defect_data_10);
ANSWER(sbc_read_defect_data_12);

CHECK(sbc_verify_check);
RUN(sbc_verify);
RUN(sbc_write_and_verify);

CHECK(sbc_compare_and_write_check);
RUN(sbc_compare_and_write);
RUN(sbc_orwrite);

CHECK(sbc_write_atomic_check);
RUN(sbc_write_atomic);

CHECK(sbc_write_same_check);
RUN(sbc_write_same);

CHECK(sbc_unmap_check);
RUN(sbc_unmap);
CHECK(sbc_get_lba_status_check);
RUN(sbc_get_lba_status);

CHECK(sanitize_overwrite_check);
RUN(sanitize_overwrite);
RUN(sanitize_block_erase);
RUN(sanitize_exit_failure_mode);
CHECK(sbc_format_check);
RUN(sbc_format);

CHECK(copy_check);
RUN(copy_run);
RUN(copy_operation_abort);
ANSWER(copy_status);
ANSWER(copy_status_lid4);
ANSWER(copy_operating_parameters);
ANSWER(copy_failed_segment);
CHECK(copy_populate_token_check);
RUN(copy_populate_token);
CHECK(copy_write_using_token_check);
RUN(copy_write_using_token);
ANSWER(copy_token_information);

#define THRESHOLD_SHIFT 20u /* of a threshold set: 1 MiB; VPD B2, log 0C */
/* SBC-3 6.5.3 parameter codes are THRESHOLD RESOURCE codes, too */
#define THRESHOLD_AVAILABLE 0x01u
#define THRESHOLD_USED      0x02u

/* Limits that VPD B0 tells and the handlers keep.  What WRITE SAME(10) can say
 * is also the most WRITE SAME(16) takes: it bounds the time of one command. */
#define SBC_COMPARE_AND_WRITE_MAX 255u /* blocks: what its CDB can say */
#define SBC_UNMAP_DESCRIPTORS_MAX 256u
#define SBC_WRITE_SAME_MAX        65535u /* blocks */
#define SBC_UNMAP_GRANULARITY     4096u
/* Limits that VPD 8F and RECEIVE COPY OPERATING PARAMETERS tell. */
#define COPY_TARGETS_MAX  16u
#define COPY_SEGMENTS_MAX 64u
#define COPY_LIST_MAX     4080u      /* bytes of descriptors */
#define COPY_BLOCKS_MAX   UINT16_MAX /* of a segment: what it can say */
#define COPY_IDENTIFIED   0xe4u      /* CSCD descriptor: identification */
#define COPY_BLOCK_BLOCK  0x02u      /* segment: from block to block device */
/* ... and those of tokens: so much that a host can wait for it */
#define COPY_TOKEN_BYTES_MAX     (1ull << 30)
#define COPY_TOKEN_BYTES_OPTIMAL (64ull << 20)
#define COPY_TOKEN_PATIENCE      60u /* s that it is not used, then it expires */
#define COPY_TOKEN_PATIENCE_MAX  600u

enum copy_action { /* service actions of 83h and 84h, SPC-4 tables 128, 129 */
	COPY_EXTENDED_LID1 = 0x00,
	COPY_EXTENDED_LID4 = 0x01,
	COPY_POPULATE_TOKEN = 0x10,
	COPY_WRITE_USING_TOKEN = 0x11,
	COPY_OPERATION_ABORT = 0x1c,
	COPY_STATUS_LID1 = 0x00,
	COPY_OPERATING_PARAMETERS = 0x03,
	COPY_FAILURE_DETAILS_LID1 = 0x04,
	COPY_STATUS_LID4 = 0x05,
	COPY_TOKEN_INFORMATION = 0x07,
};

#define SBC_STEP_MAX (256ull << 20) /* bytes of one BS_ZERO */

#endif
