/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host connect: the lines that connect a host, exactly as they are pasted.
 * Where a CHAP secret is needed it is read on the host from the file
 * NAME.secret, unless the caller may and wants to see it.
 */
#include "target/method.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lines {
	json_t *array;
	const struct state_host *host;
	const struct exports *exports;
	char portal[NAMING_ADDRESS_MAX]; /* as the host reaches it */
	bool show_secret;
};

__attribute__((format(printf, 2, 3))) static void
line(struct lines *lines, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	assert(length >= 0);
	json_array_append_new(lines->array, json_text(text));
	free(text);
}

/* Is it the first export of its target to this host? */
static bool
first_of_target(const struct lines *lines, unsigned index)
{
	const struct state_export *rows = lines->exports->rows;

	for (unsigned i = 0; i < index; i++) {
		if (rows[i].host_id == lines->host->id &&
		    rows[i].target_id == rows[index].target_id)
			return false;
	}
	return rows[index].host_id == lines->host->id;
}

static unsigned
exports_of(const struct lines *lines)
{
	unsigned count = 0;

	for (unsigned i = 0; i < lines->exports->count; i++)
		count += lines->exports->rows[i].host_id == lines->host->id;
	return count;
}

/* A shell word: what stands between single quotes is taken as it is, but for
 * the quote itself. */
static void
shell_quote(const char *text, char *buf, size_t size)
{
	size_t used = 0;

	assert(size > 3);
	buf[used++] = '\'';
	for (; *text != '\0' && used + 6 < size; text++) {
		if (*text == '\'') {
			memcpy(buf + used, "'\\''", 4);
			used += 4;
		} else {
			buf[used++] = *text;
		}
	}
	buf[used++] = '\'';
	buf[used] = '\0';
}

#define SECRET_WORD_MAX (4 * NAMING_SECRET_MAX + 16)

static void
secret_word(const struct lines *lines, const char *secret, const char *suffix,
    char word[SECRET_WORD_MAX])
{
	if (lines->show_secret)
		shell_quote(secret, word, SECRET_WORD_MAX);
	else
		snprintf(word, SECRET_WORD_MAX, "\"$(cat %s.%s)\"",
		    lines->host->name, suffix);
}

/* ---- open-iscsi ---- */

static void
auth_setting(
    struct lines *lines, const char *iqn, const char *name, const char *value)
{
	line(lines,
	    "iscsiadm -m node -T %s -p %s -o update -n node.session.auth.%s "
	    "-v %s",
	    iqn, lines->portal, name, value);
}

static void
open_iscsi_auth(struct lines *lines, const char *iqn)
{
	const struct state_host *host = lines->host;
	char word[SECRET_WORD_MAX];

	if (host->chap.user[0] == '\0')
		return;
	auth_setting(lines, iqn, "authmethod", "CHAP");
	shell_quote(host->chap.user, word, sizeof(word));
	auth_setting(lines, iqn, "username", word);
	secret_word(lines, host->chap.secret, "secret", word);
	auth_setting(lines, iqn, "password", word);
	if (host->mutual.user[0] == '\0')
		return;
	shell_quote(host->mutual.user, word, sizeof(word));
	auth_setting(lines, iqn, "username_in", word);
	secret_word(lines, host->mutual.secret, "mutual", word);
	auth_setting(lines, iqn, "password_in", word);
	explicit_bzero(word, sizeof(word));
}

static void
open_iscsi_lines(struct lines *lines)
{
	const struct exports *exports = lines->exports;

	line(lines,
	    "grep -qx 'InitiatorName=%s' /etc/iscsi/initiatorname.iscsi || "
	    "echo 'InitiatorName differs from %s'",
	    lines->host->iqn, lines->host->iqn);
	for (unsigned i = 0; i < exports->count; i++) {
		const char *iqn = exports->rows[i].iqn;
		if (!first_of_target(lines, i))
			continue;
		line(lines, "iscsiadm -m node -T %s -p %s -o new", iqn,
		    lines->portal);
		open_iscsi_auth(lines, iqn);
		line(lines,
		    "iscsiadm -m node -T %s -p %s -o update -n node.startup -v "
		    "automatic",
		    iqn, lines->portal);
		line(lines, "iscsiadm -m node -T %s -p %s --login", iqn,
		    lines->portal);
	}
}

/* ---- qemu ---- */

static void
qemu_lines(struct lines *lines)
{
	const struct state_host *host = lines->host;
	const struct exports *exports = lines->exports;
	char secret[SECRET_WORD_MAX], auth[512] = "";
	unsigned disk = 0, left = exports_of(lines);

	if (host->chap.user[0] != '\0') {
		if (lines->show_secret) {
			shell_quote(host->chap.secret, secret, sizeof(secret));
			line(lines, "printf %%s %s > %s.secret", secret,
			    host->name);
			explicit_bzero(secret, sizeof(secret));
		}
		line(lines, "-object secret,id=%s-chap,file=%s.secret \\",
		    host->name, host->name);
		snprintf(auth, sizeof(auth), ",user=%s,password-secret=%s-chap",
		    host->chap.user, host->name);
	}
	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (row->host_id != host->id)
			continue;
		line(lines,
		    "-blockdev driver=iscsi,node-name=varve%u,transport=tcp,"
		    "portal=%s,target=%s,lun=%u,initiator-name=%s%s%s \\",
		    disk, lines->portal, row->iqn, row->number, host->iqn, auth,
		    row->read_only ? ",read-only=on" : ",discard=unmap");
		line(lines,
		    "-device virtio-blk-pci,drive=varve%u,serial=%.20s%s", disk,
		    row->lun_uuid, left > 1 ? " \\" : "");
		disk++;
		left--;
	}
}

/* ---- libvirt ---- */

/* A pool is named as its target's alias: the varve pool, or the LUN. */
static void
libvirt_pool(struct lines *lines, const struct state_export *row)
{
	const struct state_host *host = lines->host;
	const char *name = row->own_target ? row->lun_name : row->pool;
	char address[NAMING_ADDRESS_MAX];

	snprintf(address, sizeof(address), "%s", lines->portal);
	*strrchr(address, ':') = '\0';
	char *bare = address[0] == '[' ? address + 1 : address;
	bare[strcspn(bare, "]")] = '\0';
	line(lines, "virsh pool-define /dev/stdin <<'END'");
	line(lines, "<pool type='iscsi-direct'>");
	line(lines, "  <name>%s</name>", name);
	line(lines, "  <source>");
	line(lines, "    <host name='%s' port='%u'/>", bare,
	    naming_address_port(lines->portal));
	line(lines, "    <device path='%s'/>", row->iqn);
	line(lines, "    <initiator><iqn name='%s'/></initiator>", host->iqn);
	if (host->chap.user[0] != '\0') {
		line(lines, "    <auth type='chap' username='%s'>",
		    host->chap.user);
		line(lines, "      <secret usage='varve-%s'/>", host->name);
		line(lines, "    </auth>");
	}
	line(lines, "  </source>");
	line(lines, "</pool>");
	line(lines, "END");
	line(lines, "virsh pool-autostart %s", name);
	line(lines, "virsh pool-start %s", name);
}

static void
libvirt_secret(struct lines *lines)
{
	const struct state_host *host = lines->host;
	char word[SECRET_WORD_MAX];

	secret_word(lines, host->chap.secret, "secret", word);
	line(lines, "virsh secret-define /dev/stdin <<'END'");
	line(lines, "<secret ephemeral='no' private='yes'>");
	line(lines, "  <usage type='iscsi'><target>varve-%s</target></usage>",
	    host->name);
	line(lines, "</secret>");
	line(lines, "END");
	line(lines,
	    "virsh secret-set-value $(virsh secret-list | awk "
	    "'$3 == \"varve-%s\" { print $1 }') --base64 $(printf %%s %s | "
	    "base64 -w0)",
	    host->name, word);
	explicit_bzero(word, sizeof(word));
}

static void
libvirt_lines(struct lines *lines)
{
	const struct exports *exports = lines->exports;

	if (lines->host->chap.user[0] != '\0')
		libvirt_secret(lines);
	for (unsigned i = 0; i < exports->count; i++) {
		if (first_of_target(lines, i))
			libvirt_pool(lines, &exports->rows[i]);
	}
}

/* ---- the method ---- */

/* A wildcard portal is reached by the machine's name. */
static bool
portal_take(struct house *house, struct lines *lines)
{
	struct house_portal *portal;
	char hostname[NAMING_ADDRESS_MAX - 8] = "";

	list_for_each (portal, &house->portals, link) {
		const char *where = house_portal_where(portal);
		if (!portal->listening)
			continue;
		if (!naming_address_any(where)) {
			snprintf(
			    lines->portal, sizeof(lines->portal), "%s", where);
			return true;
		}
		gethostname(hostname, sizeof(hostname) - 1);
		snprintf(lines->portal, sizeof(lines->portal), "%s:%u",
		    hostname, naming_address_port(where));
	}
	return lines->portal[0] != '\0';
}

static json_t *
connect_fault(struct house *house, struct lines *lines)
{
	if (exports_of(lines) == 0)
		return fault_fix(
		    fault_new("host.no-exports", "nothing is exported to %s",
			lines->host->name),
		    "varve export add POOL/LUN --host %s", lines->host->name);
	if (!portal_take(house, lines))
		return fault_fix(
		    fault_new("portal.none", "varved listens nowhere"),
		    "varve portal add ADDRESS");
	return NULL;
}

static json_t *
connect_item(struct lines *lines, const char *program)
{
	lines->array = json_array();
	if (strcmp(program, "qemu") == 0)
		qemu_lines(lines);
	else if (strcmp(program, "libvirt") == 0)
		libvirt_lines(lines);
	else
		open_iscsi_lines(lines);
	return json_pack("{s:s, s:s, s:o}", "host", lines->host->name, "for",
	    program, "lines", lines->array);
}

static void
connect_answer(struct request *request, const struct state_host *host)
{
	struct exports exports;
	struct lines lines = {.host = host,
	    .exports = &exports,
	    .show_secret = param_flag(request->params, "show_secret")};
	json_t *fault, *item = NULL;

	if (!method_exports(request, &exports))
		return;
	fault = connect_fault(request->house, &lines);
	if (fault == NULL)
		item = connect_item(&lines, param_text(request->params, "for"));
	free(exports.rows);
	if (fault != NULL)
		request_fail(request, fault);
	else
		request_answer(request, item);
}

void
method_host_connect(struct request *request)
{
	struct state_host host;

	if (param_flag(request->params, "show_secret") &&
	    request->caller.role < ROLE_WRITE) {
		request_fail(request,
		    fault_new("request.not-allowed",
			"a secret is shown to those only who may change it"));
		return;
	}
	if (!method_find_host(
		request, param_text(request->params, "host"), &host))
		return;
	connect_answer(request, &host);
	explicit_bzero(&host, sizeof(host));
}
