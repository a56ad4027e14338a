/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs of a transcript (wire.h has the language).
 */
#include "tests/wire/play.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *
fail(struct play *p, const char *format, const char *a, const char *b)
{
	snprintf(p->error, sizeof(p->error), format, a, b);
	return p->error;
}

/* ---- send ---- */

static bool
takes_cmdsn(uint8_t opcode)
{
	return opcode < 0x10 && opcode != ISCSI_DATA_OUT;
}

static void
pdu_number(struct play *p)
{
	struct client *c = p->client;
	struct wire_pdu *pdu = &p->pdu;
	const uint8_t opcode = pdu->bhs.opcode & ISCSI_OPCODE_MASK;

	be24_set(&pdu->bhs.data_length, pdu->length);
	if (!pdu->has_statsn)
		be32_set(&pdu->bhs.number[1], c->exp_statsn);
	if (pdu->has_cmdsn || !takes_cmdsn(opcode))
		return;
	be32_set(&pdu->bhs.number[0], c->cmdsn);
	if (!iscsi_is_immediate(&pdu->bhs) && opcode != ISCSI_LOGIN_REQUEST)
		c->cmdsn++;
}

static const char *
pdu_make(struct play *p, const char *name, char **words)
{
	struct wire_pdu *pdu = &p->pdu;
	uint8_t opcode = 0;
	const char *wrong = wire_opcode(name, &opcode);

	memset(&pdu->bhs, 0, sizeof(pdu->bhs));
	pdu->length = 0;
	pdu->has_cmdsn = pdu->has_statsn = false;
	pdu->bhs.opcode = opcode;
	pdu->bhs.flags = opcode == ISCSI_LOGIN_REQUEST ? 0 : ISCSI_FINAL;
	if (opcode == ISCSI_LOGIN_REQUEST)
		pdu->bhs.opcode |= ISCSI_IMMEDIATE;
	if (opcode != ISCSI_DATA_OUT && opcode != ISCSI_SCSI_COMMAND)
		be32_set(&pdu->bhs.ttt, ISCSI_TAG_NONE);
	if (opcode == ISCSI_LOGIN_REQUEST || opcode == ISCSI_LOGOUT_REQUEST)
		be32_set(&pdu->bhs.ttt, 0);
	for (; wrong == NULL && *words != NULL; words++) {
		wrong = wire_set(pdu, *words, &p->variables);
		if (wrong != NULL)
			return fail(p, "%s: %s", *words, wrong);
	}
	return wrong;
}

const char *
play_send(struct play *p, char **words)
{
	const char *wrong = pdu_make(p, words[0], words + 1);
	uint32_t length = p->pdu.length;

	if (wrong != NULL)
		return wrong;
	/* additional headers come first in data= and do not count */
	length -= p->pdu.bhs.ahs_words * 4u;
	/* dsl= lies about the length: what is there is sent */
	if (be24_get(&p->pdu.bhs.data_length) != 0)
		length = be24_get(&p->pdu.bhs.data_length);
	pdu_number(p);
	be24_set(&p->pdu.bhs.data_length, length);
	return client_send_pdu(p);
}

static const char *
do_raw(struct play *p, char **words)
{
	uint8_t bytes[512];
	unsigned n = 0, byte;

	for (char *at = words[0];
	     n < sizeof(bytes) && sscanf(at, "%2x", &byte) == 1; at += 2)
		bytes[n++] = (uint8_t)byte;
	return client_send(p, bytes, n);
}

/* ---- expect ---- */

static const char *
expect_end(struct play *p, bool closed)
{
	uint8_t byte;
	int ret = client_receive(p, &byte, 1, closed ? WIRE_TIMEOUT_MS : 100);

	if (closed)
		return ret == 0 ? NULL : "it was not closed";
	return ret == -1 ? NULL : "something came";
}

/* StatSN goes up by one with each status, RFC 7143 4.2.2.2. */
static const char *
expect_statsn(struct play *p)
{
	const struct iscsi_bhs *bhs = &p->pdu.bhs;
	const uint32_t statsn = be32_get(&bhs->number[0]);
	const uint8_t opcode = iscsi_opcode(bhs);

	if (opcode == ISCSI_DATA_IN && !(bhs->flags & ISCSI_DATA_IN_STATUS))
		return statsn == 0 ? NULL : "StatSN is reserved here";
	if (opcode == ISCSI_LOGIN_RESPONSE)
		p->client->exp_statsn = statsn;
	if (statsn != p->client->exp_statsn)
		return "StatSN out of sequence";
	if (opcode != ISCSI_R2T &&
	    !(opcode == ISCSI_NOP_IN && be32_get(&bhs->itt) == ISCSI_TAG_NONE))
		p->client->exp_statsn++;
	return NULL;
}

static const char *
do_expect(struct play *p, char **words)
{
	uint8_t opcode = 0;
	const char *wrong;

	if (strcmp(words[0], "closed") == 0 || strcmp(words[0], "nothing") == 0)
		return expect_end(p, words[0][0] == 'c');
	wrong = wire_opcode(words[0], &opcode);
	if (wrong == NULL)
		wrong = client_receive_pdu(p);
	if (wrong != NULL)
		return wrong;
	if (iscsi_opcode(&p->pdu.bhs) != opcode) {
		wire_print(&p->pdu);
		return "another PDU";
	}
	play_challenge(p);
	wrong = expect_statsn(p);
	for (words++; wrong == NULL && *words != NULL; words++) {
		wrong = wire_check(&p->pdu, *words, &p->variables);
		if (wrong != NULL)
			wrong = fail(p, "%s: %s", *words, wrong);
	}
	if (wrong != NULL)
		wire_print(&p->pdu);
	return wrong;
}

/* ---- Other lines ---- */

static const char *
do_connect(struct play *p, char **words)
{
	struct client *c = &p->clients[p->client_count];
	unsigned portal;

	if (p->service == NULL)
		p->service = service_start(&p->config);
	if (p->client_count == CONNS_MAX)
		return "too many connections";
	memset(c, 0, sizeof(*c));
	snprintf(
	    c->name, sizeof(c->name), "%s", words[0] != NULL ? words[0] : "");
	portal =
	    words[0] != NULL && words[1] != NULL ? (unsigned)atoi(words[1]) : 0;
	if (portal > p->config.portal_count)
		return "no such portal";
	c->fd = service_connect(p->service, portal);
	if (c->fd < 0)
		return "cannot connect";
	c->cmdsn = 1;
	p->client = c;
	p->client_count++;
	return NULL;
}

static const char *
do_portal(struct play *p, char **words)
{
	const unsigned i = p->config.portal_count;

	if (i == PORTALS_MORE || p->service != NULL)
		return "too many portals, or too late";
	snprintf(p->config.portals[i].address,
	    sizeof(p->config.portals[i].address), "%s", words[0]);
	p->config.portals[i].tag = (uint16_t)atoi(words[1]);
	p->config.portal_count++;
	return NULL;
}

/* One more, in a group of its own, whose state is to be told. */
static const char *
do_group(struct play *p, char **words)
{
	char address[] = "127.0.0.1:0", tag[] = "2";

	p->config.two_groups = true;
	p->config.access = (enum port_access)atoi(words[0]);
	return do_portal(p, (char *[]){address, tag, NULL});
}

static const char *
do_on(struct play *p, char **words)
{
	for (unsigned i = 0; i < p->client_count; i++) {
		if (strcmp(p->clients[i].name, words[0]) == 0) {
			p->client = &p->clients[i];
			return NULL;
		}
	}
	return "no such connection";
}

static const char *
do_hangup(struct play *p, char **words)
{
	(void)words;
	close(p->client->fd);
	p->client->fd = -1;
	return NULL;
}

static void
take_digest(struct client *c, const char *key, const char *value)
{
	if (value == NULL || strcmp(value, "CRC32C") != 0)
		return;
	if (key[0] == 'H')
		c->header_digest = true;
	else
		c->data_digest = true;
}

static const char *
do_login(struct play *p, char **words)
{
	char initiator[] = "\"InitiatorName=" WIRE_INITIATOR;
	char target[] = "\"TargetName=" WIRE_TARGET;
	char normal[] = "\"SessionType=Normal", flags[] = "flags=0x87";
	char request[] = "login-request", response[] = "login-response";
	char ok[] = "login-status=0", isid[] = "isid=400001370000";
	char *send[WORDS_MAX] = {
	    request, flags, isid, initiator, target, normal};
	char *expect[] = {response, ok, NULL};
	const char *wrong;

	for (unsigned i = 0; words[i] != NULL; i++)
		send[6 + i] = words[i];
	wrong = play_send(p, send);
	if (wrong == NULL)
		wrong = do_expect(p, expect);
	take_digest(p->client, "H", wire_text_value(&p->pdu, "HeaderDigest"));
	take_digest(p->client, "D", wire_text_value(&p->pdu, "DataDigest"));
	return wrong;
}

/* A new nexus reports POWER ON on each LUN first: takes it off LUN words[0]. */
static const char *
do_ready(struct play *p, char **words)
{
	char command[] = "command", lun[32], itt[] = "itt=0xfffffff0";
	char cdb[] = "cdb=00", response[] = "response";
	char attention[] = "status=2", good[] = "status=0";
	char *send[] = {command, lun, itt, cdb, NULL};
	char *first[] = {response, itt, attention, NULL};
	char *second[] = {response, itt, good, NULL};
	const char *wrong;

	snprintf(lun, sizeof(lun), "lun=00%02d000000000000", atoi(words[0]));
	wrong = play_send(p, send);
	if (wrong == NULL)
		wrong = do_expect(p, first);
	if (wrong == NULL)
		wrong = play_send(p, send);
	if (wrong == NULL)
		wrong = do_expect(p, second);
	return wrong;
}

static const char *
do_digest(struct play *p, char **words)
{
	p->client->header_digest = words[0][0] == 'h' || words[0][0] == 'b';
	p->client->data_digest = words[0][0] == 'd' || words[0][0] == 'b';
	return NULL;
}

static const char *
do_corrupt(struct play *p, char **words)
{
	if (words[0][0] == 'h')
		p->client->corrupt_header = true;
	else
		p->client->corrupt_data = true;
	return NULL;
}

static const char *
do_publish(struct play *p, char **words)
{
	static const struct {
		const char *name;
		enum service_view view;
	} views[] = {{"none", VIEW_NONE}, {"all", VIEW_ALL},
	    {"read-only", VIEW_READ_ONLY}, {"gone", VIEW_GONE}};

	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		if (strcmp(views[i].name, words[0]) == 0) {
			service_publish(p->service, views[i].view);
			return NULL;
		}
	}
	return "no such view";
}

static const char *
do_redirect(struct play *p, char **words)
{
	const unsigned portal = (unsigned)atoi(words[0]);
	const char *to = strcmp(words[1], "off") != 0 ? words[1] : NULL;

	if (p->service == NULL)
		p->service = service_start(&p->config);
	if (portal > p->config.portal_count ||
	    service_redirect(p->service, portal, to, words[2] != NULL) < 0)
		return "cannot redirect";
	return NULL;
}

static const char *
do_drop(struct play *p, char **words)
{
	const int want = words[1] != NULL ? -atoi(words[1]) : 0;

	return service_drop(p->service, (uint16_t)atoi(words[0])) == want
		   ? NULL
		   : "another result";
}

/* What other threads bring about may take a moment. */
static const char *
do_sessions(struct play *p, char **words)
{
	const unsigned want = (unsigned)atoi(words[0]);
	unsigned connections;

	for (unsigned i = 0; i < WIRE_TIMEOUT_MS / 10; i++) {
		if (service_sessions(p->service, &connections) == want &&
		    (words[1] == NULL ||
			connections == (unsigned)atoi(words[1])))
			return NULL;
		usleep(10000);
	}
	return "another number of sessions";
}

static const char *
do_stat(struct play *p, char **words)
{
	struct iscsi_server_stat s;
	const uint64_t want = (uint64_t)atoi(words[1]);
	uint64_t got = 0;

	for (unsigned i = 0; i < WIRE_TIMEOUT_MS / 10; i++) {
		service_stat(p->service, &s);
		got = strcmp(words[0], "rejects") == 0         ? s.rejects
		      : strcmp(words[0], "digest_errors") == 0 ? s.digest_errors
		      : strcmp(words[0], "chap_failures") == 0 ? s.chap_failures
		      : strcmp(words[0], "timeouts") == 0      ? s.timeouts
		      : strcmp(words[0], "refused") == 0       ? s.refused
		      : strcmp(words[0], "connections") == 0   ? s.connections
		      : strcmp(words[0], "unauthenticated") == 0
			  ? s.unauthenticated
			  : UINT64_MAX;
		if (got == want)
			return NULL;
		usleep(10000);
	}
	return "another count";
}

static const char *
do_pause(struct play *p, char **words)
{
	(void)p;
	usleep((useconds_t)atoi(words[0]) * 1000);
	return NULL;
}

static const char *
do_limits(struct play *p, char **words)
{
	struct iscsi_limits *l = &p->config.limits;
	unsigned n;

	for (; *words != NULL; words++) {
		const char *equals = strchr(*words, '=');
		if (equals == NULL)
			return "not NAME=N";
		n = (unsigned)atoi(equals + 1);
		if (strncmp(*words, "commands=", 9) == 0)
			l->commands = n;
		else if (strncmp(*words, "data_bytes=", 11) == 0)
			l->data_bytes = n;
		else if (strncmp(*words, "buffers=", 8) == 0)
			p->config.buffer_bytes = n;
		else if (strncmp(*words, "unauthenticated=", 16) == 0)
			l->unauthenticated = n;
		else if (strncmp(*words, "connections=", 12) == 0)
			l->connections = n;
		else if (strncmp(*words, "login_timeout_ms=", 17) == 0)
			l->login_timeout_ms = n;
		else if (strncmp(*words, "nop_interval_ms=", 16) == 0)
			l->nop_interval_ms = n;
		else if (strncmp(*words, "nop_timeout_ms=", 15) == 0)
			l->nop_timeout_ms = n;
		else if (strncmp(*words, "session_connections=", 20) == 0)
			l->session_connections = n;
		else if (strncmp(*words, "sessions_per_host=", 18) == 0)
			l->sessions_per_host = n;
		else
			return "no such limit";
	}
	return NULL;
}

static const char *
do_throttle(struct play *p, char **words)
{
	struct lun_limits limits = {.iops = 0};
	const unsigned lun = (unsigned)atoi(words[0]);

	for (words++; *words != NULL; words++) {
		const char *equals = strchr(*words, '=');
		if (equals != NULL && strncmp(*words, "iops=", 5) == 0)
			limits.iops = (uint64_t)atoi(equals + 1);
		else if (equals != NULL && strncmp(*words, "bps=", 4) == 0)
			limits.bps = (uint64_t)atoi(equals + 1);
		else
			return "no such limit";
	}
	service_throttle(p->service, lun, &limits);
	return NULL;
}

static const char *
do_host(struct play *p, char **words)
{
	for (; *words != NULL; words++) {
		const bool mutual = strncmp(*words, "mutual=", 7) == 0;
		struct iscsi_credentials *c =
		    mutual ? &p->config.mutual : &p->config.chap;
		if (sscanf(strchr(*words, '=') + 1, "%223[^:]:%255s", c->user,
			c->secret) != 2)
			return "not USER:SECRET";
	}
	return NULL;
}

/* ---- Lines ---- */

static const struct {
	const char *name;
	unsigned words;
	const char *(*run)(struct play *p, char **words);
} verbs[] = {
    {"limits", 1, do_limits},
    {"host", 1, do_host},
    {"group", 1, do_group},
    {"portal", 2, do_portal},
    {"connect", 0, do_connect},
    {"on", 1, do_on},
    {"hangup", 0, do_hangup},
    {"login", 0, do_login},
    {"send", 1, play_send},
    {"chap", 1, play_chap},
    {"reflect", 1, play_reflect},
    {"proof", 3, play_proof},
    {"expect", 1, do_expect},
    {"raw", 1, do_raw},
    {"digest", 1, do_digest},
    {"corrupt", 1, do_corrupt},
    {"publish", 1, do_publish},
    {"redirect", 2, do_redirect},
    {"drop", 1, do_drop},
    {"sessions", 1, do_sessions},
    {"stat", 2, do_stat},
    {"pause", 1, do_pause},
    {"ready", 1, do_ready},
    {"throttle", 1, do_throttle},
};

/* Splits at blanks; a word in quotes may have some, and keeps its first. */
static unsigned
split(char *line, char **words)
{
	unsigned n = 0;

	while (n < WORDS_MAX - 8) {
		line += strspn(line, " \t\n");
		if (*line == '\0' || *line == '#')
			break;
		words[n++] = line;
		line = *line == '"' ? strchr(line + 1, '"')
				    : line + strcspn(line, " \t\n");
		if (line == NULL || *line == '\0')
			break;
		*line++ = '\0';
	}
	words[n] = NULL;
	return n;
}

/* @N is the port of the Nth portal, once there is one. */
static void
expand(struct play *p, const char *line, char *to, size_t size)
{
	size_t n = 0;

	for (; *line != '\0' && n + 8 < size; line++) {
		if (p->service == NULL || line[0] != '@' || line[1] < '0' ||
		    line[1] > '0' + (int)p->config.portal_count) {
			to[n++] = *line;
			continue;
		}
		n += (size_t)snprintf(to + n, 8, "%u",
		    service_port(p->service, (unsigned)(*++line - '0')));
	}
	to[n] = '\0';
}

const char *
play_line(struct play *p, const char *text)
{
	char *words[WORDS_MAX], line[4096];
	unsigned n;

	expand(p, text, line, sizeof(line));
	n = split(line, words);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, words[0]) != 0)
			continue;
		if (n - 1 < verbs[i].words)
			return "words are missing";
		return verbs[i].run(p, words + 1);
	}
	return "no such verb";
}
