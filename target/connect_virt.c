/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host connect for QEMU's own initiator, and for libvirt, which starts it. */
#include "target/connect.h"
#include <string.h>
#include <uuid/uuid.h>

void
connect_qemu(struct lines *lines)
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

/* Always the same of a host, so that its lines can be pasted again.  By its
 * uuid and not its usage, which virt-install leaves out. */
static const char *
secret_uuid(const struct state_host *host, char text[UUID_STR_LEN])
{
	char name[NAMING_IQN_MAX + 16];
	uuid_t uuid;

	snprintf(name, sizeof(name), "varve:%s", host->iqn);
	uuid_generate_sha1(uuid, *uuid_get_template("url"), name, strlen(name));
	uuid_unparse_lower(uuid, text);
	return text;
}

static void
libvirt_pool(struct lines *lines, const struct state_export *row)
{
	const struct state_host *host = lines->host;
	char name[NAMING_IQN_MAX], address[NAMING_ADDRESS_MAX];
	char uuid[UUID_STR_LEN];

	take_row(lines, row);
	storage_name(row, name);
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
		line(lines, "      <secret uuid='%s'/>",
		    secret_uuid(host, uuid));
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
	char word[SECRET_WORD_MAX], uuid[UUID_STR_LEN];

	secret_word(lines, host->chap.secret, "secret", word);
	secret_uuid(host, uuid);
	line(lines, "virsh secret-define /dev/stdin <<'END'");
	line(lines, "<secret ephemeral='no' private='yes'>");
	line(lines, "  <uuid>%s</uuid>", uuid);
	line(lines, "  <usage type='iscsi'><target>varve-%s</target></usage>",
	    host->name);
	line(lines, "</secret>");
	line(lines, "END");
	/* not as an argument, which other users see */
	line(lines,
	    "printf %%s %s | virsh secret-set-value %s --plain --file "
	    "/dev/stdin",
	    word, uuid);
	explicit_bzero(word, sizeof(word));
}

void
connect_libvirt(struct lines *lines)
{
	const struct exports *exports = lines->exports;

	if (lines->host->chap.user[0] != '\0')
		libvirt_secret(lines);
	for (unsigned i = 0; i < exports->count; i++) {
		if (first_of_target(lines, i))
			libvirt_pool(lines, &exports->rows[i]);
	}
}
