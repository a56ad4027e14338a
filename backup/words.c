/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/words.h"
#include <string.h>
#include <uuid/uuid.h>

bool
word_is_name(const char *text)
{
	return text[0] != '\0' && text[0] != '.' && text[0] != '-' &&
	       strspn(text,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(text);
}

bool
word_is_uuid(const char *text)
{
	char lower[UUID_STR_LEN];
	uuid_t uuid;

	if (uuid_parse(text, uuid) < 0)
		return false;
	uuid_unparse_lower(uuid, lower);
	return strcmp(text, lower) == 0;
}
