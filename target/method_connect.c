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
	/* as the host reaches them; "" where there is none */
	char portals[CARRIER_COUNT][NAMING_ADDRESS_MAX];
	bool show_secret;
	/* of the export that is at hand */
	const char *portal;
	char iqn[NAMING_IQN_MAX + 8];
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

/* Does the host connect to it?  What is a disk of this machine is one already.
 */
static bool
is_connected(const struct lines *lines, const struct state_export *row)
{
	return row->host_id == lines->host->id &&
	       row->carrier != CARRIER_TCMU_LOOP;
}

/* Is it the first export of its target to this host? */
static bool
first_of_target(const struct lines *lines, unsigned index)
{
	const struct state_export *rows = lines->exports->rows;

	for (unsigned i = 0; i < index; i++) {
		if (is_connected(lines, &rows[i]) &&
		    rows[i].target_id == rows[index].target_id &&
		    rows[i].carrier == rows[index].carrier)
			return false;
	}
	return is_connected(lines, &rows[index]);
}

static void
take_row(struct lines *lines, const struct state_export *row)
{
	lines->portal = lines->portals[row->carrier];
	export_iqn(row, lines->iqn);
}

static unsigned
exports_of(const struct lines *lines)
{
	unsigned count = 0;

	for (unsigned i = 0; i < lines->exports->count; i++)
		count += is_connected(lines, &lines->exports->rows[i]);
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
auth_setting(struct lines *lines, const char *name, const char *value)
{
	line(lines,
	    "iscsiadm -m node -T %s -p %s -o update -n node.session.auth.%s "
	    "-v %s",
	    lines->iqn, lines->portal, name, value);
}

static void
open_iscsi_auth(struct lines *lines)
{
	const struct state_host *host = lines->host;
	char word[SECRET_WORD_MAX];

	if (host->chap.user[0] == '\0')
		return;
	auth_setting(lines, "authmethod", "CHAP");
	shell_quote(host->chap.user, word, sizeof(word));
	auth_setting(lines, "username", word);
	secret_word(lines, host->chap.secret, "secret", word);
	auth_setting(lines, "password", word);
	if (host->mutual.user[0] == '\0')
		return;
	shell_quote(host->mutual.user, word, sizeof(word));
	auth_setting(lines, "username_in", word);
	secret_word(lines, host->mutual.secret, "mutual", word);
	auth_setting(lines, "password_in", word);
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
		if (!first_of_target(lines, i))
			continue;
		take_row(lines, &exports->rows[i]);
		line(lines, "iscsiadm -m node -T %s -p %s -o new", lines->iqn,
		    lines->portal);
		open_iscsi_auth(lines);
		line(lines,
		    "iscsiadm -m node -T %s -p %s -o update -n node.startup -v "
		    "automatic",
		    lines->iqn, lines->portal);
		line(lines, "iscsiadm -m node -T %s -p %s --login", lines->iqn,
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
		if (!is_connected(lines, row))
			continue;
		take_row(lines, row);
		line(lines,
		    "-blockdev driver=iscsi,node-name=varve%u,transport=tcp,"
		    "portal=%s,target=%s,lun=%u,initiator-name=%s%s%s \\",
		    disk, lines->portal, lines->iqn, row->number, host->iqn,
		    auth, row->read_only ? ",read-only=on" : ",discard=unmap");
		line(lines,
		    "-device virtio-blk-pci,drive=varve%u,serial=%.20s%s", disk,
		    row->lun_uuid, left > 1 ? " \\" : "");
		disk++;
		left--;
	}
}

/* ---- libvirt ---- */

/* A pool is named as its target's alias: the varve pool, or the LUN; as the
 * kernel shows them, both are other targets. */
static void
libvirt_pool(struct lines *lines, const struct state_export *row)
{
	const struct state_host *host = lines->host;
	char name[NAMING_IQN_MAX], address[NAMING_ADDRESS_MAX];

	take_row(lines, row);
	snprintf(name, sizeof(name), "%.200s%s",
	    row->own_target ? row->lun_name : row->pool,
	    row->carrier == CARRIER_TCMU ? "-tcmu" : "");
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
	line(lines, "    <device path='%s'/>", lines->iqn);
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

/* A wildcard portal is reached by the machine's name; one that says its
 * address is better.  True: no better one will come. */
static bool
portal_offer(const char *where, char portal[NAMING_ADDRESS_MAX])
{
	char hostname[NAMING_ADDRESS_MAX - 8] = "";

	if (!naming_address_any(where)) {
		snprintf(portal, NAMING_ADDRESS_MAX, "%s", where);
		return true;
	}
	gethostname(hostname, sizeof(hostname) - 1);
	snprintf(portal, NAMING_ADDRESS_MAX, "%s:%u", hostname,
	    naming_address_port(where));
	return false;
}

static void
portals_take(struct house *house, struct lines *lines)
{
	const struct config *config = house->config;
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link) {
		if (portal->listening &&
		    portal_offer(house_portal_where(portal),
			lines->portals[CARRIER_ISCSI]))
			break;
	}
	for (unsigned i = 0; i < config->lio_portal_count; i++) {
		if (portal_offer(
			config->lio_portals[i], lines->portals[CARRIER_TCMU]))
			break;
	}
}

/* An export whose carrier has no portal. */
static bool
portal_is_missing(const struct lines *lines)
{
	for (unsigned i = 0; i < lines->exports->count; i++) {
		const struct state_export *row = &lines->exports->rows[i];
		if (is_connected(lines, row) &&
		    lines->portals[row->carrier][0] == '\0')
			return true;
	}
	return false;
}

/* Nothing to connect to: because it is this machine, or nothing is exported. */
static json_t *
nothing_fault(const struct lines *lines)
{
	json_t *fault = NULL;

	for (unsigned i = 0; i < lines->exports->count; i++) {
		const struct state_export *row = &lines->exports->rows[i];
		char disk[EXPORT_DISK_MAX];
		if (row->host_id != lines->host->id)
			continue;
		if (fault == NULL)
			fault = fault_why(
			    fault_new("host.this-machine",
				"there is nothing to connect to: what is "
				"exported to %s are disks here",
				lines->host->name),
			    "the kernel makes them without a network");
		export_disk_path(row, disk);
		fault = fault_fix(
		    fault, "%s/%s is %s", row->pool, row->lun_name, disk);
	}
	if (fault != NULL)
		return fault;
	return fault_fix(fault_new("host.no-exports",
			     "nothing is exported to %s", lines->host->name),
	    "varve export add POOL/LUN --host %s", lines->host->name);
}

static json_t *
connect_fault(struct house *house, struct lines *lines)
{
	if (exports_of(lines) == 0)
		return nothing_fault(lines);
	portals_take(house, lines);
	if (portal_is_missing(lines))
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
