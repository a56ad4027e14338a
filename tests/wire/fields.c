/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PDUs as text: names of opcodes and fields, and the words of send and expect.
 */
#include "tests/wire/wire.h"
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	uint8_t opcode;
} opcodes[] = {
    {"nop-out", 0x00},
    {"command", 0x01},
    {"task-request", 0x02},
    {"login-request", 0x03},
    {"text-request", 0x04},
    {"data-out", 0x05},
    {"logout-request", 0x06},
    {"snack", 0x10},
    {"nop-in", 0x20},
    {"response", 0x21},
    {"task-response", 0x22},
    {"login-response", 0x23},
    {"text-response", 0x24},
    {"data-in", 0x25},
    {"logout-response", 0x26},
    {"r2t", 0x31},
    {"async", 0x32},
    {"reject", 0x3f},
    {"vendor", 0x1c},
};

/* By the RFC's offsets, not by our structs. */
static const struct {
	const char *name;
	unsigned offset, size;
} fields[] = {
    {"opcode", 0, 1},
    {"flags", 1, 1},
    {"byte2", 2, 1},
    {"byte3", 3, 1},
    {"version-max", 2, 1},
    {"version-min", 3, 1},
    {"ahs", 4, 1},
    {"dsl", 5, 3},
    {"reason", 2, 1},
    {"answer", 2, 1},
    {"status", 3, 1},
    {"lun", 8, 8},
    {"isid", 8, 6},
    {"tsih", 14, 2},
    {"itt", 16, 4},
    {"ttt", 20, 4},
    {"ref-itt", 20, 4},
    {"edtl", 20, 4},
    {"cid", 20, 2},
    {"cmdsn", 24, 4},
    {"statsn", 24, 4},
    {"expstatsn", 28, 4},
    {"expcmdsn", 28, 4},
    {"maxcmdsn", 32, 4},
    {"ref-cmdsn", 32, 4},
    {"cdb", 32, 16},
    {"datasn", 36, 4},
    {"r2tsn", 36, 4},
    {"exp-datasn", 36, 4},
    {"offset", 40, 4},
    {"desired", 44, 4},
    {"residual", 44, 4},
    {"login-status", 36, 2},
    {"event", 36, 1},
    {"parameter3", 42, 2},
    {"time2wait", 40, 2},
};

const char *
wire_opcode(const char *name, uint8_t *ret_opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		if (strcmp(opcodes[i].name, name) == 0) {
			*ret_opcode = opcodes[i].opcode;
			return NULL;
		}
	}
	return "no such PDU";
}

static int
field_find(const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strlen(fields[i].name) == length &&
		    memcmp(fields[i].name, name, length) == 0)
			return (int)i;
	}
	return -1;
}

/* ---- Values ---- */

static bool
flags_parse(const char *text, uint64_t *ret)
{
	static const char letters[] = "FTCRWSUO";
	static const uint8_t bits[] = {
	    0x80, 0x80, 0x40, 0x40, 0x20, 0x01, 0x02, 0x04};
	uint64_t value = 0;

	for (; *text != '\0'; text++) {
		const char *at = strchr(letters, *text);
		if (at == NULL)
			return false;
		value |= bits[at - letters];
	}
	*ret = value;
	return true;
}

static bool
variable_get(const struct variables *v, const char *name, uint64_t *ret)
{
	for (unsigned i = 0; i < v->count; i++) {
		if (strcmp(v->at[i].name, name) == 0) {
			*ret = v->at[i].value;
			return true;
		}
	}
	return false;
}

static bool
variable_set(struct variables *v, const char *name, uint64_t value)
{
	unsigned i = 0;

	while (i < v->count && strcmp(v->at[i].name, name) != 0)
		i++;
	if (i == VARIABLES_MAX || strlen(name) >= sizeof(v->at[i].name))
		return false;
	strcpy(v->at[i].name, name);
	v->at[i].value = value;
	if (i == v->count)
		v->count++;
	return true;
}

static bool
value_parse(const char *text, const struct variables *variables, uint64_t *ret)
{
	char *end;

	if (text[0] == '$')
		return variable_get(variables, text + 1, ret);
	if (flags_parse(text, ret))
		return true;
	*ret = strtoull(text, &end, 0);
	return *end == '\0' && end != text;
}

static unsigned
hex_parse(const char *text, uint8_t *bytes, unsigned size)
{
	unsigned n = 0, byte;

	while (n < size && sscanf(text, "%2x", &byte) == 1) {
		bytes[n++] = (uint8_t)byte;
		text += 2;
		if (text[-1] == '\0')
			break;
	}
	return n;
}

static uint64_t
big_endian(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | at[i];
	return value;
}

/* hex:BYTES, zero:N, fill:N:SEED */
static const char *
data_make(const char *text, uint8_t *data, uint32_t *ret_length)
{
	unsigned length, seed = 0;

	if (strncmp(text, "hex:", 4) == 0) {
		*ret_length = hex_parse(text + 4, data, WIRE_DATA_MAX);
		return NULL;
	}
	if (sscanf(text, "zero:%u", &length) == 1 && length <= WIRE_DATA_MAX) {
		memset(data, 0, length);
	} else if (sscanf(text, "fill:%u:%u", &length, &seed) == 2 &&
		   length <= WIRE_DATA_MAX) {
		for (unsigned i = 0; i < length; i++)
			data[i] = (uint8_t)(seed + i * 7 + (i >> 8) * 13);
	} else {
		return "data: not hex:, zero: or fill:";
	}
	*ret_length = length;
	return NULL;
}

/* ---- send ---- */

static const char *
set_text(struct wire_pdu *pdu, const char *word)
{
	const size_t length = strlen(word);

	if (pdu->length + length + 1 > WIRE_DATA_MAX)
		return "too much text";
	memcpy(pdu->data + pdu->length, word, length + 1);
	pdu->length += (uint32_t)length + 1;
	return NULL;
}

static const char *
set_bytes(struct wire_pdu *pdu, int field, const char *text)
{
	uint8_t *at = (uint8_t *)&pdu->bhs + fields[field].offset;

	memset(at, 0, fields[field].size);
	hex_parse(text, at, fields[field].size);
	return NULL;
}

static const char *
set_field(struct wire_pdu *pdu, const char *word, const char *equals,
    const struct variables *variables)
{
	const int field = field_find(word, (size_t)(equals - word));
	uint8_t *bytes = (uint8_t *)&pdu->bhs;
	uint64_t value;

	if (field < 0)
		return "no such field";
	if (fields[field].size > 4)
		return set_bytes(pdu, field, equals + 1);
	if (!value_parse(equals + 1, variables, &value))
		return "not a value";
	for (unsigned i = fields[field].size; i-- > 0; value >>= 8)
		bytes[fields[field].offset + i] = (uint8_t)value;
	pdu->has_cmdsn |= strncmp(word, "cmdsn=", 6) == 0;
	pdu->has_statsn |= strncmp(word, "expstatsn=", 10) == 0;
	return NULL;
}

const char *
wire_set(
    struct wire_pdu *pdu, const char *word, const struct variables *variables)
{
	const char *equals = strchr(word, '=');

	if (word[0] == '"')
		return set_text(pdu, word + 1);
	if (strcmp(word, "immediate") == 0) {
		pdu->bhs.opcode |= ISCSI_IMMEDIATE;
		return NULL;
	}
	if (equals == NULL)
		return "not FIELD=VALUE";
	if (strncmp(word, "csg=", 4) == 0 || strncmp(word, "nsg=", 4) == 0) {
		pdu->bhs.flags |=
		    (uint8_t)(atoi(equals + 1) << (word[0] == 'c' ? 2 : 0));
		return NULL;
	}
	if (strncmp(word, "data=", 5) == 0)
		return data_make(equals + 1, pdu->data, &pdu->length);
	return set_field(pdu, word, equals, variables);
}

/* ---- expect ---- */

const char *
wire_text_value(const struct wire_pdu *pdu, const char *key)
{
	const size_t length = strlen(key);

	for (uint32_t at = 0; at < pdu->length;) {
		const char *pair = (const char *)pdu->data + at;
		const size_t n = strnlen(pair, pdu->length - at);
		if (n > length && memcmp(pair, key, length) == 0 &&
		    pair[length] == '=')
			return pair + length + 1;
		at += (uint32_t)n + 1;
	}
	return NULL;
}

static const char *
check_text(const struct wire_pdu *pdu, const char *word)
{
	const bool absent = word[0] == '!';
	const char *key = word + absent, *equals = strchr(key, '=');
	const size_t length = equals ? (size_t)(equals - key) : strlen(key);
	const bool any = equals == NULL || strcmp(equals + 1, "*") == 0;
	uint32_t at = 0;

	while (at < pdu->length) {
		const char *pair = (const char *)pdu->data + at;
		const size_t n = strnlen(pair, pdu->length - at);
		if (any ? n > length && memcmp(pair, key, length) == 0 &&
			      pair[length] == '='
			: n == strlen(key) && memcmp(pair, key, n) == 0)
			return absent ? "the key is there" : NULL;
		at += (uint32_t)n + 1;
	}
	return absent ? NULL : "the pair is not there";
}

static const char *
check_data(const struct wire_pdu *pdu, const char *text)
{
	static uint8_t want[WIRE_DATA_MAX];
	uint32_t length = 0;
	const char *wrong = data_make(text, want, &length);

	if (wrong != NULL)
		return wrong;
	if (length != pdu->length)
		return "data of another length";
	return memcmp(want, pdu->data, length) == 0 ? NULL : "other data";
}

static const char *
check_bytes(const struct wire_pdu *pdu, int field, const char *text)
{
	uint8_t want[16] = {0};
	const uint8_t *bytes = (const uint8_t *)&pdu->bhs;

	hex_parse(text, want, fields[field].size);
	return memcmp(want, bytes + fields[field].offset, fields[field].size) ==
		       0
		   ? NULL
		   : "other bytes";
}

static const char *
check_field(const struct wire_pdu *pdu, const char *word, const char *equals,
    struct variables *variables)
{
	const int field = field_find(word, (size_t)(equals - word));
	const uint8_t *bytes = (const uint8_t *)&pdu->bhs;
	uint64_t got, want;

	if (field < 0)
		return "no such field";
	if (fields[field].size > 4)
		return check_bytes(pdu, field, equals + 1);
	got = big_endian(bytes + fields[field].offset, fields[field].size);
	if (equals[1] == '$' && !variable_get(variables, equals + 2, &want))
		return variable_set(variables, equals + 2, got)
			   ? NULL
			   : "too many variables";
	if (!value_parse(equals + 1, variables, &want))
		return "not a value";
	return got == want ? NULL : "another value";
}

const char *
wire_check(
    const struct wire_pdu *pdu, const char *word, struct variables *variables)
{
	const char *equals = strchr(word, '=');

	if (word[0] == '"')
		return check_text(pdu, word + 1);
	if (equals == NULL)
		return "not FIELD=VALUE";
	if (strncmp(word, "data=", 5) == 0)
		return check_data(pdu, equals + 1);
	if (strncmp(word, "length=", 7) == 0)
		return pdu->length == strtoul(equals + 1, NULL, 0)
			   ? NULL
			   : "another length";
	return check_field(pdu, word, equals, variables);
}

void
wire_print(const struct wire_pdu *pdu)
{
	const uint8_t *bytes = (const uint8_t *)&pdu->bhs;

	printf("    got");
	for (unsigned i = 0; i < sizeof(pdu->bhs); i++)
		printf("%s%02x", i % 4 == 0 ? " " : "", bytes[i]);
	printf(" +%u\n    ", pdu->length);
	for (unsigned i = 0; i < pdu->length && i < 64; i++)
		printf("%02x", pdu->data[i]);
	printf("\n    ");
	for (unsigned i = 0; i < pdu->length && i < 400; i++)
		putchar(pdu->data[i] >= ' ' && pdu->data[i] < 127 ? pdu->data[i]
								  : '.');
	putchar('\n');
}
