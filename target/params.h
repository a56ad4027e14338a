/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parameters of a method against its row of the table: nothing missing,
 * nothing unknown, each of its type.  What a name stands for is the method's
 * to find out.
 */
#ifndef TARGET_PARAMS_H
#define TARGET_PARAMS_H

#include "target/fault.h"
#include "target/ref.h"

#define PARAM_REPEAT_MAX 64
#define PARAM_TEXT_MAX   1024

/* NULL, or why they cannot be. */
json_t *params_check(const struct api_command *command, const json_t *params);

/* "POOL/LUN" that was checked, in two. */
#define PARAM_NAME_MAX REF_NAME_MAX
void param_lun_split(const char *text, char ret_pool[PARAM_NAME_MAX],
    char ret_lun[PARAM_NAME_MAX]);

/* "+N" or "N" in bytes, as API_RESIZE. */
bool param_resize(const char *text, bool *ret_grows, uint64_t *ret_bytes);

/* A copy without the values of secrets, for the log. */
json_t *params_public(const struct api_command *command, const json_t *params);

/* JSON Schema of one method's parameters. */
json_t *params_schema(const struct api_command *command);

#endif
