/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host connect for what logs in by open-iscsi: itself, multipath, Proxmox VE.
 */
#include "target/connect.h"
#include <string.h>

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
initiator_check(struct lines *lines)
{
	line(lines,
	    "grep -qx 'InitiatorName=%s' /etc/iscsi/initiatorname.iscsi || "
	    "echo 'InitiatorName differs from %s'",
	    lines->host->iqn, lines->host->iqn);
}

/* To the target at hand, by the portal at hand. */
static void
log_in(struct lines *lines)
{
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

void
connect_open_iscsi(struct lines *lines)
{
	const struct exports *exports = lines->exports;

	initiator_check(lines);
	for (unsigned i = 0; i < exports->count; i++) {
		if (!first_of_target(lines, i))
			continue;
		take_row(lines, &exports->rows[i]);
		log_in(lines);
	}
}

/* ---- multipath ---- */

/* What multipath-tools has in no table of its own.  Paths are grouped by what
 * ALUA says of them, and a host waits for a server that is restarted. */
static void
multipath_device(struct lines *lines)
{
	line(lines, "mkdir -p /etc/multipath/conf.d");
	line(lines, "cat > /etc/multipath/conf.d/varve.conf <<'END'");
	line(lines, "devices {");
	line(lines, "        device {");
	line(lines, "                vendor \"VARVE\"");
	line(lines, "                product \".*\"");
	line(lines, "                path_grouping_policy \"group_by_prio\"");
	line(lines, "                prio \"alua\"");
	line(lines, "                hardware_handler \"1 alua\"");
	line(lines, "                path_checker \"tur\"");
	line(lines, "                failback \"immediate\"");
	line(lines, "                no_path_retry \"queue\"");
	line(lines, "        }");
	line(lines, "}");
	line(lines, "END");
	line(lines, "multipathd reconfigure");
}

static void
log_in_by_all(struct lines *lines, const struct state_export *row)
{
	take_row(lines, row);
	if (row->carrier != CARRIER_ISCSI) {
		log_in(lines);
		return;
	}
	for (unsigned i = 0; i < lines->path_count; i++) {
		lines->portal = lines->paths[i];
		log_in(lines);
	}
}

void
connect_multipath(struct lines *lines)
{
	const struct exports *exports = lines->exports;

	initiator_check(lines);
	multipath_device(lines);
	for (unsigned i = 0; i < exports->count; i++) {
		if (first_of_target(lines, i))
			log_in_by_all(lines, &exports->rows[i]);
	}
}

/* ---- Proxmox VE ---- */

/* It discovers anew each time it activates a storage, which sets its node
 * records back to what iscsid.conf says: so CHAP is said there. */
static void
proxmox_auth(struct lines *lines)
{
	static const char *const uses[] = {
	    "discovery.sendtargets.auth", "node.session.auth"};
	const struct state_host *host = lines->host;
	char user[SECRET_WORD_MAX], secret[SECRET_WORD_MAX];

	if (host->chap.user[0] == '\0')
		return;
	shell_quote(host->chap.user, user, sizeof(user));
	secret_word(lines, host->chap.secret, "secret", secret);
	for (unsigned i = 0; i < ARRAY_SIZE(uses); i++)
		line(lines,
		    "printf '%s.%%s = %%s\\n' authmethod CHAP username %s "
		    "password %s >> /etc/iscsi/iscsid.conf",
		    uses[i], user, secret);
	explicit_bzero(secret, sizeof(secret));
}

void
connect_proxmox(struct lines *lines)
{
	const struct exports *exports = lines->exports;
	char name[NAMING_IQN_MAX];

	initiator_check(lines);
	proxmox_auth(lines);
	for (unsigned i = 0; i < exports->count; i++) {
		if (!first_of_target(lines, i))
			continue;
		take_row(lines, &exports->rows[i]);
		storage_name(&exports->rows[i], name);
		line(lines,
		    "pvesm add iscsi %s --portal %s --target %s --content "
		    "images",
		    name, lines->portal, lines->iqn);
	}
}
